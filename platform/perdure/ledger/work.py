"""Running statements on the ledger's database, whose schema is checked before the first one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from perdure.ledger import migrate
from perdure.ledger.engine import Database
from perdure.model.faults.places import STATEMENT, At
from perdure.sealing import Vault
from perdure.system.fork_locks import fork_lock, once
from perdure.system.release import checked_out

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from perdure.ledger.direct import Where

Result = TypeVar("Result")


class Work:
    """What the statements of a ledger are run by.

    Args:
        database: The ledger's database.
        vault: What seals and offloads arguments, results and errors.
        release: The release of the application; by default what git has checked out, if anything.
    """

    def __init__(self, database: Database, vault: Vault, release: str | None = None) -> None:
        self.database = database
        self.vault = vault
        self._release = release
        self._checked = False
        self._check_lock = fork_lock()

    @once
    def release(self) -> str | None:
        """The release of the application that runs here; None where that is not known."""
        return self._release or checked_out()

    def run(self, work: Callable[[Connection], Result], at: At = STATEMENT) -> Result:
        """Return what work that is safe to repeat returns in a transaction; see :meth:`Database.run`."""
        self.check(create=True)
        return self.database.run(work, at=at)

    def read(self, work: Callable[[Connection], Result], at: At = STATEMENT) -> Result:
        """Return what work returns whose statements commit one by one: reads, and writes of a single statement."""
        self.check()
        return self.database.run(work, autocommit=True, at=at)

    def direct(
        self, work: Callable[[Where], Result], at: At = STATEMENT, *, autocommit: bool = True, create: bool = False
    ) -> Result:
        """Return what work returns that runs text alone, so that it needs no SQLAlchemy; see :mod:`perdure.ledger.direct`.

        Args:
            work: What to do; safe to repeat.
            at: What it is, for injected faults.
            autocommit: Whether its statements commit one by one.
            create: See :meth:`check`.
        """
        self.check(create=create)
        return self.database.run(work, autocommit=autocommit, direct=True, at=at)

    def hot(
        self, work: Callable[[Where], Result], at: At = STATEMENT, *, autocommit: bool = True, create: bool = False
    ) -> Result:
        """Do as :meth:`direct` for work that finds all that it reads by an index: PostgreSQL keeps its plans."""
        self.check(create=create)
        return self.database.run(work, autocommit=autocommit, hot=True, at=at)

    def check(self, *, create: bool = False) -> None:
        """Make sure, once, that the schema is this release's; ``create`` makes a SQLite ledger that is not there."""
        if not self._checked:
            with self._check_lock:
                if not self._checked:
                    migrate.ensure(self.database, create=create)
                    self._checked = True

    def upgrade(self) -> str:
        """Bring the schema to this release's version and return it."""
        version = migrate.upgrade(self.database)
        self._checked = True
        return version
