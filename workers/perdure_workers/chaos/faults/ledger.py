"""The ledger's database, restarted, killed, cut off, full, locked, or with another clock."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa

from perdure_workers.chaos.faults.fault import Bench

if TYPE_CHECKING:
    from perdure_workers.embedded.postgres import PostgresServer

T = TypeVar("T")

#: Seconds that the lab itself waits for SQLite's lock.
_LOCK_S = 20.0
#: Ends all others' connections.
_CUT = sa.text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
#: What every write meets when no table has room to grow, with the code of a full disk (53100).
_FULL = """
    CREATE FUNCTION chaos_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
    END $$
"""
_TABLES = """
    SELECT relname FROM pg_class
    WHERE relkind IN ('r', 'p') AND NOT relispartition AND relname ~ '^(perdure|chaos)_'
"""
_REFUSE = "CREATE TRIGGER chaos_full BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION chaos_full()"
#: A schema that is searched first: the function of all of the ledger's times is found there.
_CLOCK = """
    CREATE SCHEMA chaos_clock;
    CREATE FUNCTION chaos_clock.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE
        AS $$ SELECT pg_catalog.statement_timestamp() + make_interval(secs => {ahead}) $$;
    ALTER DATABASE chaos SET search_path = chaos_clock, pg_catalog, public
"""


@contextmanager
def postgres_restarted(bench: Bench) -> Iterator[str]:
    """PostgreSQL is stopped in order, and is away for a while."""
    server = _postgres(bench)
    server.stop("fast")
    try:
        yield "stopped"
    finally:
        server.start()


@contextmanager
def postgres_killed(bench: Bench) -> Iterator[str]:
    """PostgreSQL dies, and recovers from its log."""
    server = _postgres(bench)
    server.kill()
    try:
        yield "kill -9"
    finally:
        server.start()


@contextmanager
def postgres_connections_cut(bench: Bench) -> Iterator[str]:
    """PostgreSQL ends all connections."""
    try:
        told = f"{_at(bench, _cut)} connections"
    except sa.exc.OperationalError:  # in a mix: it does not run
        told = "none is open"
    yield told


@contextmanager
def postgres_out_of_disk(bench: Bench) -> Iterator[str]:
    """PostgreSQL answers, and whatever needs room on its disk fails."""

    def fill(connection: sa.Connection) -> int:
        connection.execute(sa.text(_FULL))
        tables = connection.execute(sa.text(_TABLES)).scalars().all()
        for table in tables:
            connection.execute(sa.text(_REFUSE.format(table=table)))
        return len(tables)

    tables = _at(bench, fill)
    try:
        yield f"{tables} tables cannot grow"
    finally:
        _at(bench, lambda connection: connection.execute(sa.text("DROP FUNCTION chaos_full CASCADE")))


@contextmanager
def postgres_clock(bench: Bench, ahead: float) -> Iterator[str]:
    """PostgreSQL goes on as another server whose clock is wrong, and comes back as the first one."""

    def fail_over(connection: sa.Connection) -> None:
        connection.execute(sa.text(_CLOCK.format(ahead=ahead)))
        _cut(connection)

    def come_back(connection: sa.Connection) -> None:
        connection.execute(sa.text("ALTER DATABASE chaos RESET search_path; DROP SCHEMA chaos_clock CASCADE"))
        _cut(connection)

    _at(bench, fail_over)
    try:
        yield f"{ahead:+g} s"
    finally:
        _at(bench, come_back)


@contextmanager
def sqlite_locked(bench: Bench) -> Iterator[str]:
    """Somebody holds SQLite's lock, as a backup or a person with a shell does."""
    file = bench.cluster.direct_ledger_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, timeout=_LOCK_S, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        try:
            yield "BEGIN EXCLUSIVE"
        finally:
            connection.execute("ROLLBACK")


def _at(bench: Bench, work: Callable[[sa.Connection], T]) -> T:
    """Do something in the database by hand, past perdure and the network."""
    engine = bench.cluster.engine()
    try:
        with engine.begin() as connection:
            return work(connection)
    finally:
        engine.dispose()


def _cut(connection: sa.Connection) -> int:
    return int(connection.execute(_CUT).scalar_one())


def _postgres(bench: Bench) -> PostgresServer:
    assert bench.cluster.postgres is not None
    return bench.cluster.postgres
