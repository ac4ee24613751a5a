"""Running a drill: work, an accident, the operator's steps, and what they are judged by.

RTO is the time from the accident until a job that was submitted after it is done, and nothing that was accepted waits;
RPO the age, at the accident, of the oldest accepted job that the ledger does not know any more.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from perdure.settings.drill_settings import DrillTargets
from perdure_workers.chaos import evidence
from perdure_workers.chaos.cluster import APP, LOOK_S, Cluster, LabFailed
from perdure_workers.chaos.faults.fault import Bench
from perdure_workers.chaos.platforms import LedgerKind
from perdure_workers.chaos.reading import reports
from perdure_workers.chaos.workload import Workload
from perdure_workers.drills.accidents import ACCIDENTS, PLATFORMS, Scene

#: Jobs a second, and how many are done before the accident.
RATE, STEADY_JOBS = 10.0, 10
#: Seconds in which work begins, and after which a drill is given up unless its target is later.
BEGIN_S, GIVE_UP_S = 60.0, 120.0
_WAITS = ("scheduled", "queued", "running", "retrying")


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a drill.

    Attributes:
        drill: Which.
        met: Whether both targets were.
        rto: Seconds from the accident until all was done; None when it was not in time.
        rpo: Seconds of accepted work that is lost.
        rto_target: The most that ``rto`` may be.
        rpo_target: The most that ``rpo`` may be.
        accepted: Jobs that were accepted.
        lost: Those of them that the ledger does not know any more.
        doubled: Those of them that were done more than once: the first end was not written down, or that is lost.
        steps: What was done, and how many seconds after the accident.
    """

    drill: str
    met: bool
    rto: float | None
    rpo: float
    rto_target: float
    rpo_target: float
    accepted: int
    lost: int
    doubled: int
    steps: list[tuple[float, str]]


def run(
    name: str, folder: Path, targets: DrillTargets, ledger: LedgerKind, say: Callable[[str], object] = lambda _text: None
) -> Report:
    """Run a drill and write its report to ``folder/NAME/drill.json``.

    Args:
        name: One of ``ACCIDENTS``.
        folder: Where reports, logs and evidence go.
        targets: What has to be reached.
        ledger: The kind of the ledger's database.
        say: Told of each step.

    Raises:
        LabFailed: The platform does not start.
    """
    folder = folder / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    data = Path(tempfile.mkdtemp(prefix="perdure-drill-"))
    try:
        with PLATFORMS.get(name, Cluster)(folder, data, ledger, APP, flower=False) as cluster:
            report = _run(name, folder, cluster, targets, say)
    finally:
        shutil.rmtree(data, ignore_errors=True)
    (folder / "drill.json").write_bytes(msgspec.json.format(msgspec.json.encode(asdict(report)), indent=2))
    return report


def _run(name: str, folder: Path, cluster: Cluster, targets: DrillTargets, say: Callable[[str], object]) -> Report:
    def work(until: Callable[[], bool], seconds: float) -> bool:
        give_up_at = time.monotonic() + seconds
        while not until():
            if time.monotonic() > give_up_at:
                return False
            cluster.keep()
            time.sleep(LOOK_S)
        return True

    rng = random.Random(1)  # noqa: S311 - a workload, no secret
    workload = Workload(cluster.app, folder, RATE, rng)
    workload.start()
    try:
        if not work(lambda: cluster.app.jobs.count().get("succeeded", 0) >= STEADY_JOBS, BEGIN_S):
            raise LabFailed(f"no job was done within {BEGIN_S:.0f} s: see {folder / 'logs'}")
        happened, told = time.monotonic(), []
        for step in ACCIDENTS[name](Scene(cluster, workload, Bench(cluster, workload, rng), folder, work)):
            if step.startswith("!"):
                happened = time.monotonic()
            told.append((time.monotonic(), step.removeprefix("! ")))
            say(told[-1][1])
    finally:
        workload.stop(30.0)
    workload.submit("chaos.quick")
    recovered = work(lambda: not any(map(cluster.app.jobs.count().get, _WAITS)), max(GIVE_UP_S, targets.rto))
    took = time.monotonic() - happened if recovered else None
    known = {each.job for each in reports(cluster)}
    accepted = [each for each in evidence.submissions(folder) if each.answer == "accepted"]
    lost = [each for each in accepted if each.job not in known]
    age = max((happened - each.at for each in lost), default=0.0)
    met = took is not None and took <= targets.rto and age <= targets.rpo
    steps = [(round(at - happened, 2), step) for at, step in told]
    return Report(name, met, took, age, targets.rto, targets.rpo, len(accepted), len(lost), len(_doubled(folder)), steps)


def _doubled(folder: Path) -> list[str]:
    ends = Counter(effect.key for effect in evidence.effects(folder) if effect.what == "ended")
    return [key for key, count in ends.items() if count > 1]
