"""The ledger: every statement that perdure runs, as one method each. What it stands on is in this package's other files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from perdure.ledger import migrate
from perdure.ledger.engine import Database, Result
from perdure.ledger.jobs.statements import JobStatements
from perdure.ledger.work import Work
from perdure.model.events import EventBus
from perdure.sealing import Vault
from perdure.system.fork_locks import once
from perdure.system.later import later

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from perdure.ledger import clock, counts, due, facts, measured, offloaded
    from perdure.ledger.alerts.statements import AlertStatements
    from perdure.ledger.bulkhead_statements import BulkheadStatements
    from perdure.ledger.dead_letters.letters import Letters
    from perdure.ledger.direct import Where
    from perdure.ledger.partitions.statements import PartitionStatements
    from perdure.ledger.running.statements import RunningStatements
    from perdure.ledger.schedules.statements import ScheduleStatements
    from perdure.ledger.workers.statements import WorkerStatements
    from perdure.model.metrics import Count
else:
    clock, counts, due, facts, measured, offloaded = later(
        "perdure.ledger", "clock", "counts", "due", "facts", "measured", "offloaded"
    )


class Ledger:
    """The database that owns the jobs.

    Args:
        url: SQLAlchemy URL of SQLite or PostgreSQL.
        durability: See :class:`~perdure.ledger.engine.Database`.
        vault: What seals and offloads arguments, results and errors; None leaves them as they are.
        events: Told of each transition of a job that this process writes, once it is committed.
        release: The release of the application, by which faults that come back are known; by default git's, if any.

    Every method raises ``LedgerUnavailable`` when the database cannot be reached or refuses to work, and
    ``LedgerOutdated`` when its schema is another release's. SQLite files are made and migrated on first use.
    """

    def __init__(
        self,
        url: str,
        durability: Literal["normal", "full"] = "normal",
        vault: Vault | None = None,
        events: EventBus | None = None,
        release: str | None = None,
    ) -> None:
        self.vault = vault or Vault()
        self.events = events or EventBus()
        self.database = Database(url, durability)
        self._work = Work(self.database, self.vault, release)
        self.jobs = JobStatements(self._work, self.events)

    @property
    def release(self) -> str | None:
        """The release of the application that runs here, found out once; None where that is not known."""
        return self._work.release

    @once
    def running(self) -> RunningStatements:
        """Statements on what runs: checkpoints, steps, progress."""
        from perdure.ledger.running.statements import RunningStatements

        return RunningStatements(self._work)

    @once
    def workers(self) -> WorkerStatements:
        """Statements on workers."""
        from perdure.ledger.workers.statements import WorkerStatements

        return WorkerStatements(self._work)

    @once
    def bulkheads(self) -> BulkheadStatements:
        """Statements on bulkheads."""
        from perdure.ledger.bulkhead_statements import BulkheadStatements

        return BulkheadStatements(self._work)

    @once
    def schedules(self) -> ScheduleStatements:
        """Statements on periodic jobs."""
        from perdure.ledger.schedules.statements import ScheduleStatements

        return ScheduleStatements(self._work)

    @once
    def letters(self) -> Letters:
        """Statements on dead letters."""
        from perdure.ledger.dead_letters.letters import Letters

        return Letters(self._work)

    @once
    def alerts(self) -> AlertStatements:
        """Statements on alerts."""
        from perdure.ledger.alerts.statements import AlertStatements

        return AlertStatements(self._work)

    @once
    def partitions(self) -> PartitionStatements:
        """Statements on the history's partitions."""
        from perdure.ledger.partitions.statements import PartitionStatements

        return PartitionStatements(self._work)

    def probe(self) -> None:
        """Make sure that the ledger can be written: on a full disk, or as a standby, it still answers reads."""
        self._work.direct(lambda c: facts.note(c, "last_probe"))

    def clock(self) -> float:
        """Return the ledger's time, seconds since the epoch."""
        return self._work.direct(clock.clock)

    def due(
        self, *, host: str, held: Sequence[str], ttl: float, notifiers: Sequence[str], thorough: bool
    ) -> frozenset[str]:
        """Return which duties find something to do; see :func:`due.due`."""
        asked: dict[str, Any] = {"host": host, "held": held, "ttl": ttl, "notifiers": notifiers, "thorough": thorough}
        return self._work.direct(lambda c: due.due(c, **asked))

    def identity(self) -> str:
        """Return what tells this ledger from others; see :func:`offloaded.identity`."""
        return self._work.direct(offloaded.identity, create=True)

    def holders(self) -> list[offloaded.Holder]:
        """Return the tables that may refer to blobs; see :func:`offloaded.holders`."""
        return self._work.direct(offloaded.holders)

    def references(self, table: offloaded.Holder, after: str, size: int) -> offloaded.Page:
        """Return which blobs some rows of a table refer to; see :func:`offloaded.references`."""
        return self._work.direct(lambda c: offloaded.references(c, table, after, size))

    def count(self, some: Sequence[Count]) -> None:
        """Append what a process has counted for metrics; what fails is not written."""
        self._work.hot(lambda c: counts.add(c, some))

    def add_up_counts(self, *, enough: float, full: bool) -> bool:
        """Add up what was counted; see :func:`counts.fold`. Begins no transaction when there is nothing."""
        if not (full or self._work.direct(counts.is_to_fold)):
            return False
        return self._work.direct(lambda c: counts.fold(c, enough=enough, full=full), autocommit=False)

    def counts(self) -> counts.Reading:
        """Return what was counted, and what waits and runs; see :func:`counts.read`."""
        return self._work.direct(counts.read)

    def load_of(self, bulkhead: str, window: float) -> measured.Measured:
        """Return what a bulkhead's load has been for so many seconds; see :func:`measured.measured`."""
        return self._work.read(lambda c: measured.measured(c, bulkhead, window))

    def upgrade(self) -> str:
        """Bring the schema to this release's version and return it."""
        return self._work.upgrade()

    def create_if_missing(self) -> None:
        """Make a SQLite ledger that is not there yet: for what serves it. Reading makes none."""
        if migrate.is_missing(self.database):
            self.upgrade()

    def schema_version(self) -> str | None:
        """Return the schema's version, or None for an empty database."""
        return migrate.version(self.database)

    def close(self) -> None:
        """Close this process' connections."""
        self.database.close()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that commits when the block ends without an error.

        Unlike the other methods' work it is never repeated: when it fails with ``LedgerUnavailable``, whether it was
        committed is not known.
        """
        self._work.check(create=True)
        with self.database.transaction() as connection:
            yield connection

    def transact(self, work: Callable[[Connection], Result]) -> Result:
        """Return what work that is safe to repeat returns in a transaction; see :meth:`Database.run`."""
        return self._work.run(work)

    def read(self, work: Callable[[Connection], Result]) -> Result:
        """Return what work returns whose statements commit one by one; see :meth:`Database.run`."""
        return self._work.read(work)

    def direct(self, work: Callable[[Where], Result]) -> Result:
        """Return what work returns whose statements are text and commit one by one; see :mod:`perdure.ledger.direct`."""
        return self._work.direct(work)

    def hot(self, work: Callable[[Where], Result], *, autocommit: bool = True) -> Result:
        """Return what work returns that runs text alone and finds all that it reads by an index; see :meth:`Work.hot`."""
        return self._work.hot(work, autocommit=autocommit)
