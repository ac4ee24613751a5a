"""A platform that runs already and allows that it is broken. Only what can be done from outside is done to it."""

from __future__ import annotations

import shutil
import socket
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import sqlalchemy as sa

from perdure import Perdure
from perdure.errors import FaultsNotAllowed, PerdureError
from perdure.ledger.now import now
from perdure.model.ids import new_id
from perdure.model.records import WorkerRecord
from perdure_workers.chaos import evidence
from perdure_workers.chaos.cluster import LabFailed
from perdure_workers.chaos.jobs import CONSENT, paid
from perdure_workers.chaos.platforms import BUSY, Target, children_of
from perdure_workers.up.runtime import Runtime

#: The bulkheads of the workload.
_BULKHEADS = (BUSY, "critical")
#: Seconds in which a worker has to say whether its platform may be broken.
_ANSWER_S = 30.0


class Running:
    """A running platform; use as a context manager. Who started its processes is to start them again.

    Args:
        app: Its application, with the workload's tasks: :func:`perdure_workers.chaos.jobs.register`.
        report: The run's folder of reports, into which the evidence is moved at the end.

    Raises:
        FaultsNotAllowed: On entering: its settings do not allow that it is broken, here or where it runs.
        LabFailed: On entering: it cannot be put under load, or does not run on this host.
    """

    def __init__(self, app: Perdure, report: Path) -> None:
        self.app, self._report = app, report
        self.folder = evidence.folder_of(app)
        self.max_crashes = app.settings.max_crashes
        self.prefix = f"{new_id()}-"
        self.since: float | None = None
        self._home = app.settings.home_folder.path
        self._before: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._check_consent()
        self.since = self.app.ledger.read(lambda connection: connection.execute(sa.select(now())).scalar_one())
        self._before = self._serving()
        self.folder.mkdir(parents=True, exist_ok=True)
        evidence.clear(self.folder)
        engine = self.engine()
        paid.drop(engine, checkfirst=True)  # of a run that was cut short
        paid.create(engine)
        engine.dispose()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        engine = self.engine()
        paid.drop(engine)
        engine.dispose()
        for name in (evidence.EFFECTS, evidence.SUBMISSIONS):
            if (self.folder / name).exists():
                shutil.copy2(self.folder / name, self._report)
        evidence.clear(self.folder)

    @property
    def redis_url(self) -> str:
        """The Redis of its broker."""
        return self.app.settings.effective_broker_url

    @property
    def has_own_redis(self) -> bool:
        """Whether `perdure up` runs a Redis for this platform alone."""
        runtime = self._runtime()
        return runtime is not None and any(process.role == "redis" for process in runtime.processes)

    def client(self) -> Perdure:
        """Return its application."""
        return self.app

    def engine(self) -> sa.Engine:
        """Return the ledger's database."""
        return sa.create_engine(self.app.ledger.database.engine.url)

    def pids(self, target: Target) -> list[int]:
        """Return its processes of a kind on this host: workers that the ledger knows, others of `perdure up`."""
        workers = [worker for worker in self._workers() if target != "worker" or worker.bulkhead == BUSY]
        mains = [worker.pid for worker in workers]
        pools = [pid for main in mains for pid in children_of(main)]
        runtime = self._runtime()
        others = {
            role: [each.pid for each in runtime.processes if each.role == role and each.pid] if runtime else []
            for role in ("supervisor", "flower")
        }
        by_target: dict[Target, list[int]] = {
            "worker": mains,
            "child": pools,
            "supervisor": others["supervisor"],
            "flower": others["flower"],
            "everything": [*pools, *mains, *others["supervisor"], *others["flower"]],
        }
        return by_target[target]

    def keep(self) -> None:
        """Leave it to whoever runs the platform."""

    def is_ready(self) -> bool:
        """Tell whether as many workers serve each bulkhead as before."""
        return self._before <= self._serving()

    def _check_consent(self) -> None:
        if not self.app.settings.faults_allowed:
            raise FaultsNotAllowed(
                "this platform does not allow that it is broken on purpose: set faults_allowed "
                "(PERDURE_FAULTS_ALLOWED=1) for all of its processes, never where users must not notice"
            )
        if CONSENT not in self.app.tasks:
            raise LabFailed(
                "the application has no tasks to be put under load with: call perdure_workers.chaos.jobs.register(app) "
                "where it is made, and restart its workers"
            )
        if not self.redis_url.startswith(("redis:", "rediss:")):
            raise LabFailed("a platform that runs is broken with Redis as its broker only")
        if missing := sorted(set(_BULKHEADS) - {worker.bulkhead for worker in self._workers()}):
            raise LabFailed(f"nobody here serves {' and '.join(missing)}: start workers on this host, as by perdure up")
        for bulkhead in _BULKHEADS:
            self._ask(bulkhead)

    def _ask(self, bulkhead: str) -> None:
        job = self.app.task(CONSENT).options(bulkhead=bulkhead).submit()
        try:
            allowed = job.wait(_ANSWER_S)
        except (TimeoutError, PerdureError) as error:
            job.cancel("nobody answered")
            raise LabFailed(f"no worker of {bulkhead} says whether the platform may be broken: {error}") from error
        if not allowed:
            raise FaultsNotAllowed(
                f"faults_allowed is not set for the workers of {bulkhead}, and is for this command alone"
            )

    def _workers(self) -> list[WorkerRecord]:
        here = socket.gethostname()
        return [each for each in self.app.workers.list() if each.host == here and _is_of_perdure(each.pid)]

    def _serving(self) -> Counter[str]:
        return Counter(worker.bulkhead for worker in self._workers())

    def _runtime(self) -> Runtime | None:
        runtime = Runtime.read(self._home)
        return runtime if runtime is not None and runtime.managed else None


def _is_of_perdure(pid: int) -> bool:
    """Tell whether a process is perdure's, and not one of another container with a host of the same name."""
    try:
        return any("perdure" in part for part in psutil.Process(pid).cmdline())
    except psutil.Error:
        return False
