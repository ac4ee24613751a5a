"""One Redis and one PostgreSQL for a whole run, real ones, each on a free port with a folder of its own."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import redis

from benchmarks.processes import Tree
from perdure_workers.embedded.postgres import PostgresServer
from perdure_workers.embedded.redis import RedisServer

SQLALCHEMY_DRIVER = "+psycopg"


class Servers:
    """Both servers, and what can be counted in them.

    Args:
        folder: the run's folder.
        redis_server: started.
        postgres: started.
    """

    def __init__(self, folder: Path, redis_server: RedisServer, postgres: PostgresServer) -> None:
        self.folder = folder
        self.redis = redis_server
        self.postgres = postgres
        self._databases: dict[str, tuple[str, str]] = {}

    def addresses(self, name: str) -> tuple[str, str]:
        """Return the URLs of a Redis database and of a PostgreSQL database that nobody else has; made at the first call."""
        if name not in self._databases:
            number = len(self._databases) + 1
            base = self.redis.url.rsplit("/", 1)[0]
            self._databases[name] = f"{base}/{number}", self.postgres.create_database(f"bench_{number}")
        return self._databases[name]

    def tree(self) -> Tree:
        """Return the processes of both servers."""
        return Tree([self.redis.pid, self.postgres.pid])

    def settle(self) -> None:
        """Let PostgreSQL write out what earlier measurements left."""
        with self._connection() as connection:
            connection.execute("CHECKPOINT")

    def statements(self) -> tuple[int, int]:
        """Return how many transactions PostgreSQL and how many commands Redis have seen."""
        time.sleep(1.1)  # a backend reports its counts once a second at most
        with self._connection() as connection:
            row: Any = connection.execute(
                "SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database WHERE datname LIKE 'bench%'"
            ).fetchone()
        with redis.Redis.from_url(self.redis.url) as client:
            return int(row[0] or 0), int(client.info("stats")["total_commands_processed"])

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.postgres.url.replace(SQLALCHEMY_DRIVER, ""), autocommit=True) as connection:
            yield connection


@contextmanager
def serving() -> Iterator[Servers]:
    """Run both servers in a folder that goes away with them."""
    with tempfile.TemporaryDirectory(prefix="perdure-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # the account that PostgreSQL runs as passes through
        with (
            RedisServer(folder / "redis", die_with_parent=True) as redis_server,
            PostgresServer(folder / "postgres", die_with_parent=True) as postgres,
        ):
            yield Servers(folder, redis_server, postgres)
