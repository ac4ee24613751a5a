"""The demo: archive a tree, deliver webhooks, import CSV files, kill a worker in the middle, check every promise."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from rich.console import Console

from perdure import JobHandle, JobState, Perdure
from perdure.errors import JobCancelled, JobDead
from perdure.model.ids import new_id
from perdure.model.records import JobRecord
from perdure_workers.demo import data
from perdure_workers.demo.checks import count_rows, verify_archive
from perdure_workers.demo.drill import Drill
from perdure_workers.demo.jobs import demo_app
from perdure_workers.demo.judge import Evidence, judge
from perdure_workers.demo.progress import ARCHIVE, IMPORTS, WEBHOOKS, Bars
from perdure_workers.demo.servers import DemoFailed, Platform, ReceiverProcess, new_environment

WEBHOOK_COUNT = 300
BAD_ROWS = 7
ROWS_PER_CSV = 250
#: The archive is slowed down to take about so long, in seconds: it must have a middle.
ARCHIVE_S = 14.0
#: When jobs have not ended by then, in seconds after their submission, a promise is broken; a tree that takes longer
#: to archive than the standard library gets more, at this rate in bytes per second.
GIVE_UP_S, SLOW_DISK = 65.0, 20_000_000
LOOK_EVERY_S = 0.15


def run_demo(home: Path, tree: Path, keep: bool, seed: int, *, as_json: bool = False) -> int:
    """Run the demo and return the exit code: 0 if all promises were kept.

    Args:
        home: The home folder of the platform that is started for it; the results go to its folder ``demo``.
        tree: The folder that is archived and listed.
        keep: Whether the platform goes on running afterwards.
        seed: What decides which deliveries fail and where bad rows are.
        as_json: Print the summary as JSON and nothing else.

    Raises:
        DemoFailed: The platform or the receiver does not start or stop.
    """
    console = Console(stderr=as_json, quiet=as_json)
    started = time.monotonic()
    with ExitStack() as running:
        demo = _Demo(home, tree.resolve(), seed, console, running)
        demo.submit()
        demo.watch()
        demo.replay()
        summary = judge(demo.evidence())
        summary.facts["seconds"] = round(time.monotonic() - started, 1)
        if keep:
            summary.facts["flower"] = demo.platform.status()["flower_url"]
            demo.platform.leave_running()
    if as_json:
        print(json.dumps(summary.to_json(), indent=2))
    else:
        summary.print(console)
        if keep:
            console.print(f"\nThe platform runs on; Flower's password is in {home}/flower.password.", markup=False)
            console.print(f"Stop it with: perdure down --home {home}", markup=False)
    return 0 if summary.is_kept else 1


@dataclass(slots=True)
class _Submitted:
    """The handles of one run, by what they are for."""

    archive: JobHandle[Any]
    imports: list[JobHandle[Any]]
    webhooks: list[JobHandle[Any]]
    poison: JobHandle[Any]

    @property
    def count(self) -> int:
        return len(self.imports) + len(self.webhooks) + 2


class _Demo:
    """One run of the demo."""

    def __init__(self, home: Path, tree: Path, seed: int, console: Console, running: ExitStack) -> None:
        self._tree, self._seed, self._console = tree, seed, console
        self._run = new_id()
        self._folder = home.absolute() / "demo" / self._run
        self._folder.mkdir(parents=True)
        self._database = f"sqlite:///{self._folder / 'inventory.db'}"
        self._exclude = data.exclusions(tree, home)
        environment = new_environment()
        console.print(f"Reading {tree} ...", markup=False)
        self._rows = data.list_files(tree, self._exclude)
        self._bytes = data.total_bytes(tree, self._exclude)
        if not self._bytes:
            raise DemoFailed(f"{tree} has nothing in it to archive. Choose another one: perdure demo --tree FOLDER")
        console.print(
            f"Starting a webhook receiver, Redis, one worker for each bulkhead and Flower in {home} ...", markup=False
        )
        self.receiver = ReceiverProcess(self._folder, environment, seed)
        running.callback(self.receiver.stop)
        self.platform = Platform(home.absolute(), environment)
        self.platform.up()
        running.callback(self.platform.down)
        self.app: Perdure = demo_app(home=home.absolute())
        running.callback(self.app.close)

    def submit(self) -> None:
        """Submit everything."""
        files = data.write_csv_files(self._folder, self._rows, per_file=ROWS_PER_CSV, bad=BAD_ROWS, seed=self._seed)
        engine = sa.create_engine(self._database)
        data.inventory.create(engine)
        engine.dispose()
        archive = self._task(ARCHIVE).submit(
            str(self._tree),
            str(self._folder / "tree.tar"),
            exclude=self._exclude,
            bytes_per_second=max(1, int(self._bytes / ARCHIVE_S)),
        )
        imports = self._task(IMPORTS).submit_many((str(file), self._database, "inventory") for file in files)
        webhooks = self._task(WEBHOOKS).submit_many(self._delivery("/hooks", number) for number in range(WEBHOOK_COUNT))
        (poison,) = self._task(WEBHOOKS).submit_many([self._delivery("/poison", WEBHOOK_COUNT)])
        self._jobs = _Submitted(archive, imports, webhooks, poison)
        self._console.print(
            f"Submitted {self._jobs.count} jobs: 1 archive ({self._bytes / 1e6:.0f} MB), {len(imports)} CSV imports "
            f"({len(self._rows)} rows), {len(webhooks) + 1} webhooks"
        )

    def watch(self) -> None:
        """Draw what happens, and kill the archive's worker in the middle, until all jobs have ended."""
        self._drill = Drill(self.platform, self.app.tasks[ARCHIVE].bulkhead)
        give_up_at = time.monotonic() + GIVE_UP_S + self._bytes / SLOW_DISK
        bars = Bars(self._console, webhooks=len(self._jobs.webhooks) + 1, imports=len(self._jobs.imports))
        with bars:
            while time.monotonic() < give_up_at:
                records = self._records()
                archive = next(job for job in records if job.id == self._jobs.archive.id)
                if happened := self._drill.watch(archive):
                    bars.say(happened)
                bars.show(records)
                if all(job.state.is_final for job in records):
                    break
                time.sleep(LOOK_EVERY_S)

    def replay(self) -> None:
        """Remove the fault of the poisoned endpoint and replay the dead letter that it left."""
        self._replayed: JobHandle[Any] | None = None
        letter = self._jobs.poison.refresh().record.dead_letter_id
        if letter is None:
            return
        self.receiver.repair()
        self._replayed = self.app.dead_letters.replay(letter, by="demo")
        try:
            self._replayed.wait(timeout=15.0)
        except (JobDead, JobCancelled, TimeoutError) as error:
            self._console.print(f"the replay: {error}", markup=False)

    def evidence(self) -> Evidence:
        """Collect what there is to judge by, from where it is and not from what the jobs say of it."""
        archive = self._result_of(self._jobs.archive)
        return Evidence(
            submitted=self._jobs.count,
            jobs=self._records(),
            accident=self._drill.accident,
            archive=archive,
            verified=verify_archive(self._tree, Path(archive["archive"]), Path(archive["manifest"])) if archive else None,
            poison=self._jobs.poison.refresh().record,
            replay=None if self._replayed is None else self._replayed.refresh().record,
            deliveries=len(self._jobs.webhooks) + 1,
            received=self.receiver.report(),
            good_rows=len(self._rows),
            bad_rows=BAD_ROWS,
            rows=count_rows(self._database),
            rejected=sum(self._result_of(job).get("rejected", 0) for job in self._jobs.imports),
        )

    def _task(self, name: str) -> Any:
        return self.app.tasks[name].options(tags={"demo": self._run})

    def _delivery(self, path: str, number: int) -> dict[str, Any]:
        row = self._rows[number % len(self._rows)]
        payload = {"number": number, "path": row.path, "size": row.size, "sha256": row.sha256}
        return {"url": f"{self.receiver.url}{path}", "payload": payload, "event": "file.listed", "secret": "demo"}

    def _records(self) -> list[JobRecord]:
        """Return what the ledger knows of this run's jobs, in one query; the replay, which has their tags, is no part."""
        found = self.app.jobs.list(tag=("demo", self._run), limit=self._jobs.count + 2)
        return [job.record for job in found if job.record.replay_of is None]

    @staticmethod
    def _result_of(job: JobHandle[Any]) -> dict[str, Any]:
        result: dict[str, Any] = job.result() if job.state is JobState.SUCCEEDED else {}
        return result
