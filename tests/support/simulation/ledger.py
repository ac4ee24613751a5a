"""A real ledger that lives by a simulated clock, and makes the ids that a seed says."""

from __future__ import annotations

import gc
import logging
import random
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch
from uuid import UUID
from weakref import WeakSet

from sqlalchemy import Connection, Row, StaticPool, TextClause, create_engine
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine.result import SimpleResultMetaData

from perdure.ledger import Ledger

#: Modules that ask for the time by ``time.monotonic``.
_TIMED = ("perdure_workers.worker.choice", "perdure_workers.supervisor.duties.expire")


class SimulatedClock:
    """The time of a seed, in seconds since the epoch; and its randomness, of which ids and jitter are made."""

    def __init__(self) -> None:
        self.life = 0
        self.begin(0)

    def begin(self, seed: int) -> None:
        """Begin anew with a seed."""
        self.life += 1
        self.now = 1_000_000.0
        self.rng = random.Random(seed)

    def state(self) -> tuple[float, Any]:
        """Return what :meth:`go_back` takes."""
        return self.now, self.rng.getstate()

    def go_back(self, state: tuple[float, Any]) -> None:
        """Let it be as early, and chance as blind, as it was."""
        self.now, before = state
        self.rng.setstate(before)

    def julianday(self, *_: Any) -> float:
        """Stand in for SQLite's function of this name, by which the ledger's statements tell the time."""
        return self.now / 86400.0 + 2440587.5

    def monotonic(self) -> float:
        """Stand in for ``time.monotonic``."""
        return self.now

    def uuid7(self) -> UUID:
        """Stand in for the function of this name (RFC 9562): the time in milliseconds, and the seed's random bits."""
        self.now += 1e-3  # ids of one process sort in the order of their making
        return UUID(int=int(self.now * 1000) << 80 | 0x7 << 76 | 0x2 << 62 | self.rng.getrandbits(62))


@contextmanager
def simulated_ledger(folder: Path) -> Iterator[tuple[Ledger, SimulatedClock]]:
    """Yield a ledger that was made in a folder and lives in memory, and its clock."""
    ledger, clock = Ledger(f"sqlite:///{folder}/simulated.db", release="simulated"), SimulatedClock()
    ledger.upgrade()
    ledger.close()
    with ExitStack() as patches:
        connection = patches.enter_context(_in_memory(folder / "simulated.db", clock))
        quick = _Quick(connection)
        patches.enter_context(patch.object(ledger.database, "run", quick.run))
        patches.enter_context(patch.object(ledger.database, "transaction", quick.transaction))
        patches.enter_context(patch.object(ledger, "probe", lambda: None))  # memory is never full
        patches.enter_context(patch("perdure.model.ids.uuid7", clock.uuid7))
        patches.enter_context(patch("perdure.admission.limits.connect", lambda _: None))
        for module in _TIMED:
            patches.enter_context(patch(f"{module}.time", SimpleNamespace(monotonic=clock.monotonic)))
        gc.freeze()  # what was loaded before is not garbage, and is looked at each time
        patches.callback(gc.unfreeze)
        logging.disable()  # thousands of misfortunes, all of them meant
        patches.callback(logging.disable, logging.NOTSET)
        yield ledger, clock


@contextmanager
def _in_memory(file: Path, clock: SimulatedClock) -> Iterator[Connection]:
    with (
        closing(sqlite3.connect(file)) as made,
        closing(sqlite3.connect(":memory:", isolation_level=None, cached_statements=1000)) as raw,
    ):
        made.backup(raw)
        raw.executescript("PRAGMA secure_delete = OFF; CREATE TABLE effects (job_id, number)")
        # With a handful of rows an index costs more than it spares; those that say what is unique remain.
        for [index] in raw.execute("SELECT name FROM sqlite_schema WHERE type = 'index' AND name GLOB 'ix_*'").fetchall():
            raw.execute(f"DROP INDEX {index}")
        # The same throughout a statement, as SQLite's own.
        raw.create_function("julianday", -1, clock.julianday, deterministic=True)
        engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
        with engine.connect() as connection:
            raw.execute("BEGIN")
            yield connection


class _Rows(list[Any]):
    """What a statement found: of SQLAlchemy's result as much as the ledger asks for."""

    def all(self) -> _Rows:
        return self

    def one(self) -> Any:
        [row] = self
        return row

    def one_or_none(self) -> Any:
        return self.one() if self else None

    def first(self) -> Any:
        return self[0] if self else None

    def scalars(self) -> _Rows:
        return _Rows([row[0] for row in self])

    def scalar_one(self) -> Any:
        return self.one()[0]

    def scalar_one_or_none(self) -> Any:
        return self.one()[0] if self else None


#: The ledger's dialect, but that parameters have names.
_DIALECT = sqlite.dialect(paramstyle="named")


class _Quick:
    """A connection that gives statements to SQLite as they are: SQLAlchemy's way to it costs more than most of them do.

    Those that are constants are compiled once; those that are made anew for each call go SQLAlchemy's way.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection, self._raw = connection, cast(Any, connection.connection.driver_connection)
        self._columns: dict[str, SimpleResultMetaData] = {}
        #: Of constants: their SQL, and parameters that are part of them.
        self._compiled: dict[Any, tuple[str, dict[str, Any]]] = {}
        self._seen = WeakSet[Any]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def run(self, work: Any, *, autocommit: bool = False, **_: Any) -> Any:
        """Stand in for :meth:`Database.run`."""
        if autocommit:
            return work(self)
        with self.transaction():
            return work(self)

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """Stand in for :meth:`Database.transaction`."""
        self._raw.execute("SAVEPOINT work")
        try:
            yield self
        except BaseException:
            self._raw.execute("ROLLBACK TO work")
            raise
        finally:
            self._raw.execute("RELEASE work")

    def execute(self, statement: Any, parameters: Any = None) -> Any:
        compiled = self._compiled.get(statement) or self._compile(statement, parameters)
        if compiled is None:
            return self._connection.execute(statement, parameters)
        sql, own = compiled
        if isinstance(parameters, list):
            return self._raw.executemany(sql, [own | each for each in parameters])
        found = self._raw.execute(sql, own | (parameters or {}))
        if found.description is None:
            return found
        columns = self._columns.get(sql)
        if columns is None:
            columns = self._columns[sql] = SimpleResultMetaData([each[0] for each in found.description])
        places = columns._key_to_index
        return _Rows([Row(columns, None, places, values) for values in found.fetchall()])

    def _compile(self, statement: Any, parameters: Any) -> tuple[str, dict[str, Any]] | None:
        if isinstance(statement, TextClause):
            self._compiled[statement] = statement.text, {}
        elif statement in self._seen:
            given = parameters[0] if isinstance(parameters, list) else parameters or {}
            made = statement.compile(dialect=_DIALECT, column_keys=list(given)).construct_expanded_state(given)
            own = {name: value for name, value in made.parameters.items() if name not in given}
            self._compiled[statement] = made.statement, own
        else:
            self._seen.add(statement)
        return self._compiled.get(statement)


def sqlite_of(ledger: Ledger) -> sqlite3.Connection:
    """Return the database of a simulated ledger: a transaction is always open there."""
    return ledger.read(lambda c: cast(sqlite3.Connection, c.connection.driver_connection))


def empty(ledger: Ledger) -> None:
    """Take back all that was written: much quicker than to delete it, or than another file."""
    sqlite = sqlite_of(ledger)
    sqlite.execute("ROLLBACK")
    sqlite.execute("BEGIN")
