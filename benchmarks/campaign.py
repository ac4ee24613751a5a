"""The kill league: the same jobs and the same kills for perdure and its peers, judged from outside by what the jobs wrote.

    make campaign                       # 200 kills each: hours
    make campaign KILLS=20 ARGS="--only perdure"

Each system has two worker processes with two children each, as in the comparison. While jobs of 0.2 s are submitted, a
process that runs one is killed (SIGKILL), in a third of the cases with all of its worker; what has died is started again at
once. Afterwards the system has time to finish. Raw histories are kept in ``.bench/campaign/``.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click

from benchmarks import systems
from benchmarks.environments import CACHE, ROOT, CannotInstall, inherited, versions
from benchmarks.peers.effects import RECORD_BYTES, STARTS
from benchmarks.report import Table
from benchmarks.servers import Servers, serving
from benchmarks.systems import CHILDREN, System
from benchmarks.trial import Lost, Subject

COMPARED = (
    systems.PERDURE_SQLITE,
    systems.PERDURE_POSTGRES,
    systems.RELIER_SYSTEM,
    systems.CELERY,
    systems.CELERY_RELIABLE,
    systems.DRAMATIQ,
    systems.PROCRASTINATE,
    systems.DBOS,
)
PROCESSES = 2
#: Jobs that are submitted for each kill, and the seconds that one takes: a third of what the children can do.
JOBS, JOB_S = 10, 0.2
#: Seconds between two kills, from and to; a system that is busy recovering is hit as well.
PACE_S = (1.0, 3.0)
#: How often a whole worker is killed and not only the process that runs the job.
WHOLE = 1 / 3
#: Seconds for which nobody's work is waited for before a kill.
BUSY_S = 10.0
LOOK_S = 0.005
HISTORIES = CACHE / "campaign"
PAGE, PLOT = ROOT / "docs" / "campaign.md", ROOT / "docs" / "pictures" / "campaign.svg"
_BEGIN, _END = "<!-- written by `make campaign` -->", "<!-- end -->"


@dataclass(frozen=True)
class Record:
    """A line that a job wrote: its number, when (Unix time), the process."""

    number: int
    at: float
    pid: int


@dataclass(frozen=True)
class Kill:
    """A kill: when (Unix time), the processes that were hit, and whether it was a whole worker."""

    at: float
    pids: tuple[int, ...]
    whole: bool


@dataclass(frozen=True)
class Outcome:
    """What an outside checker found.

    Attributes:
        system: Whose.
        kills: How many there were.
        jobs: Jobs that were submitted.
        missing: Of these, how many had not been done when the wait was over: lost, or stuck.
        doubled: How many were done more than once.
        interrupted: How many were cut short by a kill.
        recoveries: Seconds from the kill until such a job ran again, of those that did.
    """

    system: str
    kills: int
    jobs: int
    missing: int
    doubled: int
    interrupted: int
    recoveries: list[float] = field(default_factory=list)

    def cells(self) -> list[str]:
        """Return its row of the table."""
        times = [_seconds(_quantile(self.recoveries, q)) for q in (0.5, 0.99, 1.0)]
        never = str(self.interrupted - len(self.recoveries))
        return [
            self.system,
            *map(str, (self.kills, self.jobs, self.missing, self.doubled, self.interrupted)),
            never,
            *times,
        ]


def judge(system: str, jobs: int, starts: Sequence[Record], ends: Sequence[Record], kills: Sequence[Kill]) -> Outcome:
    """Return what a history shows.

    Args:
        system: Whose it is.
        jobs: Jobs that were submitted, numbered from 0.
        starts: When which process began which job.
        ends: When which process was done with it.
        kills: What was killed.
    """
    done = Counter(record.number for record in ends)
    over = {(record.number, record.pid) for record in ends}
    recoveries, interrupted = [], 0
    for kill in kills:
        for cut in starts:
            if cut.pid in kill.pids and cut.at <= kill.at and (cut.number, cut.pid) not in over:
                interrupted += 1
                again = [other.at for other in starts if other.number == cut.number and other.at > kill.at]
                recoveries += [min(again) - kill.at] if again else []
    missing = sum(number not in done for number in range(jobs))
    doubled = sum(count > 1 for count in done.values())
    return Outcome(system, len(kills), jobs, missing, doubled, interrupted, recoveries)


class Workers:
    """A system's worker processes, each in a process group of its own; what has died is started again.

    Args:
        subject: Whose.
        folder: Where what they say goes.
    """

    def __init__(self, subject: Subject, folder: Path) -> None:
        self._commands = subject.system.commands(subject.commands_folder, PROCESSES, CHILDREN)
        self._environment: Mapping[str, str] = {**inherited(), **subject.environment}
        self._log = folder / "workers.log"
        self._running = [self._start(number) for number in range(len(self._commands))]

    def keep(self) -> None:
        """Start again what has died."""
        for number, process in enumerate(self._running):
            if process.poll() is not None:
                self._kill_group(process)
                self._running[number] = self._start(number)

    def kill(self, pid: int, *, whole: bool) -> Kill:
        """Kill the process that runs a job, or the whole worker that it belongs to."""
        group = os.getpgid(pid)
        hit = tuple(_members(group)) if whole else (pid,)
        at = time.time()
        if whole:
            os.killpg(group, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
        return Kill(at, hit, whole)

    def stop(self) -> None:
        """End all."""
        for process in self._running:
            self._kill_group(process)
            process.wait()

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                list(self._commands[number]),
                cwd=self._log.parent,
                env={**self._environment, "BENCH_SLOT": str(number)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @staticmethod
    def _kill_group(process: subprocess.Popen[bytes]) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


class Match:
    """One system under kills.

    Args:
        system: Which.
        servers: Where its databases are.
        seed: What decides when what is hit.
        patience: Seconds without any job done after which what is missing counts as lost or stuck.
    """

    def __init__(self, system: System, servers: Servers, seed: int, patience: float) -> None:
        self._subject = Subject(system, servers)
        self._folder = HISTORIES / system.key
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._starts = self._folder / "starts.log"
        self._subject.effects = self._folder / "ends.log"
        self._subject.effects.touch()
        self._starts.touch()
        files = {"BENCH_EFFECTS": str(self._subject.effects), STARTS: str(self._starts)}
        self._subject.environment.update(files)
        self._rng, self._patience = random.Random(seed), patience
        self._kills: list[Kill] = []

    def play(self, kills: int) -> Outcome:
        """Kill so many times and return what came of it."""
        with self._subject.driving() as driver, self._working() as workers:
            driver.one(JOBS, JOB_S)
            self._subject.await_some(1)
            for _ in range(kills):
                driver.one(JOBS, JOB_S)
                self._strike(workers)
                self._idle(workers, self._rng.uniform(*PACE_S))
            self._await_rest(workers)
        jobs = self._subject.take(0)
        outcome = judge(self._subject.system.name, jobs, read(self._starts), read(self._subject.effects), self._kills)
        lines = [json.dumps(asdict(kill)) for kill in self._kills]
        (self._folder / "kills.jsonl").write_text("\n".join(lines) + "\n")
        (self._folder / "outcome.json").write_text(json.dumps(asdict(outcome)))
        return outcome

    @contextmanager
    def _working(self) -> Iterator[Workers]:
        workers = Workers(self._subject, self._folder)
        try:
            yield workers
        finally:
            workers.stop()

    def _strike(self, workers: Workers) -> None:
        give_up_at = time.monotonic() + BUSY_S
        whole = self._rng.random() < WHOLE
        while time.monotonic() < give_up_at:
            workers.keep()
            if busy := self._busy():
                with suppress(ProcessLookupError):  # it has ended by itself
                    self._kills.append(workers.kill(self._rng.choice(busy), whole=whole))
                return
            time.sleep(LOOK_S)

    def _busy(self) -> list[int]:
        """Return the processes that run a job now."""
        over = {(record.number, record.pid) for record in read(self._subject.effects)}
        dead = {pid for kill in self._kills for pid in kill.pids}
        recent = time.time() - JOB_S
        return sorted(
            {r.pid for r in read(self._starts) if r.at > recent and (r.number, r.pid) not in over and r.pid not in dead}
        )

    def _idle(self, workers: Workers, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            workers.keep()
            time.sleep(LOOK_S * 4)

    def _await_rest(self, workers: Workers) -> None:
        jobs, done, progress_at = self._subject.take(0), -1, time.monotonic()
        while done < jobs and time.monotonic() < progress_at + self._patience:
            now_done = len({record.number for record in read(self._subject.effects)})
            if now_done > done:
                done, progress_at = now_done, time.monotonic()
            self._idle(workers, 0.5)


def read(path: Path) -> list[Record]:
    """Return the lines that jobs have written; one that is written now is left out."""
    text = path.read_bytes()
    lines = (text[at : at + RECORD_BYTES] for at in range(0, len(text) - RECORD_BYTES + 1, RECORD_BYTES))
    return [Record(int(line[:10]), float(line[11:28]), int(line[29:36])) for line in lines]


def kept() -> list[Outcome]:
    """Return what was found when each system was run last: they may be run one at a time."""
    files = (HISTORIES / system.key / "outcome.json" for system in COMPARED)
    return [Outcome(**json.loads(file.read_text())) for file in files if file.exists()]


def table(outcomes: Sequence[Outcome]) -> str:
    """Return what was found, in Markdown."""
    head = ["system", "kills", "jobs", "lost or stuck", "done twice", "cut short", "never run again", "p50", "p99", "max"]
    found = Table("The times are seconds until a job that was cut short ran again", head)
    found.rows = [outcome.cells() for outcome in outcomes]
    pins = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"{found.markdown()}\n\nPeers: {pins}."


def keep(text: str) -> None:
    """Write the table into the page, and leave the rest of it as it is."""
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    PAGE.write_text(f"{before}{_BEGIN}\n\n{text}\n\n{_END}{rest.partition(_END)[2]}")


def draw(outcomes: Sequence[Outcome]) -> None:
    """Draw which share of the jobs that were cut short ran again after so many seconds."""
    import pygal
    from pygal.style import CleanStyle

    title = "% of the runs that were cut short and began again after so many seconds"
    chart = pygal.XY(style=CleanStyle, js=[], title=title, dots_size=2, legend_at_bottom=True, height=480)
    for outcome in outcomes:
        share = 100 / max(1, outcome.interrupted)
        chart.add(
            outcome.system, [(seconds, number * share) for number, seconds in enumerate(sorted(outcome.recoveries), 1)]
        )
    PLOT.write_bytes(chart.render())


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--kills", type=click.IntRange(1), default=200, show_default=True, help="Of each system.")
@click.option("--seed", type=int, default=1, show_default=True, help="When what is hit.")
@click.option("--patience", type=float, default=300.0, show_default=True, help="Seconds without work, at the end.")
@click.option("--only", multiple=True, metavar="WORD", help="Of the systems, only those with this word in their name.")
@click.option("--publish", is_flag=True, help="Write docs/campaign.md, of what each system did when it was run last.")
def main(kills: int, seed: int, patience: float, only: tuple[str, ...], publish: bool) -> None:
    """Kill each system's workers so many times, and tell what was lost, done twice, and how long it took."""
    chosen = [system for system in COMPARED if not only or any(word in system.name for word in only)]
    outcomes: list[Outcome] = []
    for system in chosen:
        began = time.monotonic()
        try:
            with serving() as servers:
                outcomes.append(Match(system, servers, seed, patience).play(kills))
        except (Lost, CannotInstall) as failure:
            click.echo(f"{system.name}: {failure}", err=True)
        else:
            click.echo(f"{' | '.join(outcomes[-1].cells())}  ({time.monotonic() - began:.0f} s)", err=True)
    click.echo(table(outcomes))
    if publish:
        keep(table(kept()))
        draw(kept())


def _members(group: int) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(ProcessLookupError, PermissionError):
                if os.getpgid(int(entry.name)) == group:
                    yield int(entry.name)


def _quantile(values: Sequence[float], q: float) -> float | None:
    return sorted(values)[min(len(values) - 1, int(q * len(values)))] if values else None


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


if __name__ == "__main__":
    main()
