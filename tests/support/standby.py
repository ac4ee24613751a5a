"""A PostgreSQL with a standby that streams from it, each commit on both before it is answered."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from perdure.system.ports import LOOPBACK
from perdure_workers.embedded.postgres import SUPERUSER, PostgresServer, find_postgres_binaries
from perdure_workers.embedded.unprivileged import server_account
from support.waiting import wait_until

NAME = "perdure_both"


@dataclass
class Pair:
    """The two servers."""

    primary: PostgresServer
    standby: PostgresServer

    @property
    def url(self) -> str:
        """URL of the ledger on whichever takes writes; the first one does not."""
        login = f"{SUPERUSER}:{self.primary.url.split(':')[2].partition('@')[0]}"
        hosts = f"{LOOPBACK}:{self.standby.port},{LOOPBACK}:{self.primary.port}"
        return f"postgresql://{login}@{hosts}/{NAME}"

    def kill_primary(self) -> None:
        """End all of its processes at once, as a machine that loses its power does."""
        postmaster = psutil.Process(self.primary.pid)
        for process in [postmaster, *postmaster.children(recursive=True)]:
            process.kill()
        self.primary.kill()

    def promote(self) -> None:
        """Have the standby take writes."""
        with _connect(self.standby) as connection:
            connection.execute("SELECT pg_promote()")


@contextmanager
def streaming_pair(folder: Path) -> Iterator[Pair]:
    """Run both, with an empty database for a ledger."""
    with PostgresServer(folder / "primary", die_with_parent=True, fast_unsafe_for_tests=True) as primary:
        primary.create_database(NAME)
        with _connect(primary) as connection:
            # A standby must get each commit before it is answered; the test server's own setting would not wait for it.
            connection.execute(f"ALTER DATABASE {NAME} SET synchronous_commit = on")
        _copy(primary, folder / "standby")
        with PostgresServer(folder / "standby", die_with_parent=True, fast_unsafe_for_tests=True) as standby:
            with _connect(primary) as connection:
                connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
                connection.execute("SELECT pg_reload_conf()")
                wait_until(lambda: _is_synchronous(connection), 30)
            yield Pair(primary, standby)


def _copy(primary: PostgresServer, folder: Path) -> None:
    """Make a standby as an operator does."""
    folder.mkdir()
    account = server_account()
    shutil.copy2(primary.data_dir / "password", folder / "password")
    if account is not None:
        account.own(folder)
        account.own(folder / "password")
    command = [find_postgres_binaries() / "pg_basebackup", "-h", LOOPBACK, "-p", str(primary.port), "-U", SUPERUSER]
    command += ["-D", folder / "cluster", "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
    options: dict[str, Any] = account.popen_options() if account is not None else {}
    options["env"] = {**os.environ, "PGPASSWORD": (folder / "password").read_text()}
    subprocess.run(list(map(str, command)), cwd=folder, check=True, capture_output=True, **options)


def _is_synchronous(connection: psycopg.Connection[tuple[str]]) -> bool:
    return connection.execute("SELECT sync_state FROM pg_stat_replication").fetchall() == [("sync",)]


def _connect(server: PostgresServer) -> psycopg.Connection[tuple[str]]:
    return psycopg.connect(server.url.replace("+psycopg", ""), autocommit=True)
