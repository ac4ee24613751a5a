"""Running one scenario: steady state, faults under load, recovery, judgement."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from perdure_workers.chaos import evidence
from perdure_workers.chaos.checker import judge
from perdure_workers.chaos.cluster import LOOK_S, Cluster, LabFailed
from perdure_workers.chaos.faults import FAULTS
from perdure_workers.chaos.faults.fault import Bench
from perdure_workers.chaos.history import Fault, History, Rules
from perdure_workers.chaos.how import How
from perdure_workers.chaos.jobs import BREAKER, CALM
from perdure_workers.chaos.platforms import Platform
from perdure_workers.chaos.progress import Watcher
from perdure_workers.chaos.reading import counts, effects, reports, rows, servers
from perdure_workers.chaos.result import Result, result_of
from perdure_workers.chaos.running import Running
from perdure_workers.chaos.scenario import Planned, Scenario
from perdure_workers.chaos.workload import Workload

#: Jobs a second.
RATE = 15.0
#: Seconds of steady work before the first fault, and jobs that must have succeeded by then.
STEADY_S = 3.0
STEADY_JOBS = 10
#: Seconds that steady work may take to begin, and in which all must end when the last fault is over.
BEGIN_S, PATIENCE_S = 60.0, 60.0
#: Seconds between two looks at whether all has ended.
LOOK_AT_END_S = 0.5


@dataclass(slots=True)
class _Ongoing:
    """A fault that is under way."""

    planned: Planned
    context: AbstractContextManager[str]
    told: str
    begun: float
    ends: float


@dataclass(slots=True)
class Run:
    """One run of a scenario.

    Args:
        scenario: What is done.
        how: How.
        watcher: Told of what happens.
    """

    scenario: Scenario
    how: How
    watcher: Watcher
    faults: list[Fault] = field(default_factory=list)
    ongoing: list[_Ongoing] = field(default_factory=list)

    def result(self) -> Result:
        """Run it and return what came of it.

        Raises:
            LabFailed: The platform does not start, or does nothing although nothing was done to it.
        """
        folder = self.how.folder / self.scenario.name
        shutil.rmtree(folder, ignore_errors=True)  # of an earlier run
        folder.mkdir(parents=True)
        with self._platform(folder) as platform:
            history = self._history(platform)
        return result_of(self.scenario, self.how, history, judge(history))

    @contextmanager
    def _platform(self, folder: Path) -> Iterator[Platform]:
        if self.how.running is not None:
            with Running(self.how.running, folder) as running:
                yield running
            return
        data = Path(tempfile.mkdtemp(prefix="perdure-chaos-"))
        try:
            with Cluster(folder, data, self.how.ledger, self.how.app_path, flower=self.scenario.flower) as cluster:
                yield cluster
        finally:
            shutil.rmtree(data, ignore_errors=True)

    def _history(self, platform: Platform) -> History:
        begun = time.monotonic()
        with ExitStack() as cleanup:
            rng = random.Random(self.how.seed)  # noqa: S311 - misfortune, no secret
            workload = Workload(platform.client(), platform.folder, RATE, rng, platform.prefix)
            bench = Bench(platform, workload, rng)
            workload.start()
            cleanup.callback(workload.stop, PATIENCE_S)
            self._await_steady_state(platform)
            self._break(bench)
        self._await_end(platform)
        return self._collected(platform, bench, begun)

    def _await_steady_state(self, platform: Platform) -> None:
        self.watcher.phase("steady state", STEADY_S)
        begun = time.monotonic()
        while (lasted := time.monotonic() - begun) < STEADY_S or counts(platform).get("succeeded", 0) < STEADY_JOBS:
            if lasted > BEGIN_S:
                raise LabFailed(f"no steady state within {BEGIN_S:.0f} s: see {platform.folder}")
            self._tick(platform)

    def _break(self, bench: Bench) -> None:
        self.watcher.phase("faults", self.how.duration)
        begun, duration = time.monotonic(), self.how.duration
        to_come = self.scenario.plan(self.how.seed, duration, self.how.ledger)
        try:
            while (now := time.monotonic()) < begun + duration or to_come or self.ongoing:
                while to_come and to_come[0].at * duration <= now - begun:
                    self._begin(bench, to_come.pop(0))
                for fault in [each for each in self.ongoing if each.ends <= time.monotonic()]:
                    self._end(fault)
                self._tick(bench.platform)
        finally:
            for fault in list(self.ongoing):
                self._end(fault)

    def _begin(self, bench: Bench, planned: Planned) -> None:
        bench.lasts = planned.lasts * self.how.duration
        context = FAULTS[planned.do](bench, **planned.given)
        begun = time.monotonic()
        told = context.__enter__()
        self.watcher.say(f"{planned.name}: {told}" + (f", for {bench.lasts:.1f} s" if bench.lasts else ""))
        self.ongoing.append(_Ongoing(planned, context, told, begun, begun + bench.lasts))
        if not bench.lasts:
            self._end(self.ongoing[-1])

    def _end(self, fault: _Ongoing) -> None:
        self.ongoing.remove(fault)
        fault.context.__exit__(None, None, None)
        ended = time.monotonic()
        if fault.planned.lasts:
            self.watcher.say(f"{fault.planned.name}: over")
        self.faults.append(Fault(name=fault.planned.name, begun=fault.begun, ended=ended, told=fault.told))

    def _await_end(self, platform: Platform) -> None:
        self.watcher.phase("recovery", PATIENCE_S)
        give_up_at, look_at = time.monotonic() + PATIENCE_S, 0.0
        while time.monotonic() < give_up_at:
            if time.monotonic() >= look_at:
                if self._unfinished(platform) == 0 and platform.is_ready():
                    return
                look_at = time.monotonic() + LOOK_AT_END_S
            self._tick(platform)

    def _collected(self, platform: Platform, bench: Bench, begun: float) -> History:
        self.watcher.phase("judgement", 1.0)
        ended = time.monotonic()
        permits = Rules().half_open_permits
        rules = Rules(
            max_crashes=platform.max_crashes,
            half_open_permits=permits,
            recovery_timeout=float(BREAKER["recovery_timeout"]),
            opening_calls=int(BREAKER["failure_threshold"]),
            flood=bench.flood,
            calm_task=CALM,
            patience=PATIENCE_S,
        )
        return History(
            submissions=evidence.submissions(platform.folder),
            effects=effects(platform),
            reports=reports(platform),
            rows=rows(platform),
            faults=sorted(self.faults, key=lambda fault: fault.begun),
            excused=frozenset(bench.excused),
            begun=begun,
            ended=ended,
            rules=rules,
            servers=servers(platform),
        )

    def _tick(self, platform: Platform) -> None:
        platform.keep()
        self.watcher.tick()
        time.sleep(LOOK_S)

    @staticmethod
    def _unfinished(platform: Platform) -> int:
        found = counts(platform)
        return sum(found.get(state, 0) for state in ("scheduled", "queued", "running", "retrying"))
