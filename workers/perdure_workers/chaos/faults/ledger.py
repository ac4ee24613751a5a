"""The ledger's database, restarted, killed, cut off or locked."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa

from perdure_workers.chaos.faults.fault import Bench

if TYPE_CHECKING:
    from perdure_workers.embedded.postgres import PostgresServer

#: Seconds that the lab itself waits for SQLite's lock.
_LOCK_S = 20.0


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
    engine = bench.cluster.engine()
    others = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = 'chaos' AND pid <> pg_backend_pid()"
    )
    with engine.connect() as connection:
        count = connection.execute(sa.text(others)).scalar_one()
    engine.dispose()
    yield f"{count} connections"


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


def _postgres(bench: Bench) -> PostgresServer:
    assert bench.cluster.postgres is not None
    return bench.cluster.postgres
