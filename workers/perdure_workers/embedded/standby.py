"""A PostgreSQL that streams from another one: making it, promoting it, and the death of the one before it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psutil
import psycopg

from perdure.system.ports import LOOPBACK
from perdure_workers.embedded.errors import ServerStartFailed
from perdure_workers.embedded.postgres import SUPERUSER, PostgresServer, find_postgres_binaries
from perdure_workers.embedded.unprivileged import server_account


def copy_for_standby(primary: PostgresServer, folder: Path, port: int | None = None) -> None:
    """Copy a running server as an operator does, so that ``PostgresServer(folder)`` is a standby of it.

    Args:
        primary: The server.
        folder: The standby's, which is made.
        port: Where the standby reaches the primary; its own port by default.

    Raises:
        ServerStartFailed: It could not be copied; the message has what ``pg_basebackup`` says.
    """
    folder.mkdir()
    account = server_account()
    password = folder / "password"
    shutil.copy2(primary.data_dir / password.name, password)
    if account is not None:
        account.own(folder)
        account.own(password)
    command = [find_postgres_binaries() / "pg_basebackup", "-h", LOOPBACK, "-p", str(port or primary.port), "-U", SUPERUSER]
    command += ["-D", folder / "cluster", "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
    options: dict[str, Any] = account.popen_options() if account is not None else {}
    options["env"] = {**os.environ, "PGPASSWORD": password.read_text()}
    done = subprocess.run(list(map(str, command)), cwd=folder, check=False, capture_output=True, text=True, **options)  # noqa: S603
    if done.returncode:
        raise ServerStartFailed(f"pg_basebackup could not copy the primary to {folder}:\n{done.stderr}")


def administer(server: PostgresServer, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement as superuser, in no transaction, and return its rows."""
    with psycopg.connect(server.url.replace("+psycopg", ""), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def promote(server: PostgresServer) -> None:
    """Have a standby take writes, and wait until it does."""
    administer(server, "SELECT pg_promote()")


def lose(server: PostgresServer) -> None:
    """End all processes of a server at once, as a machine that loses its power does."""
    postmaster = psutil.Process(server.pid)
    for process in [postmaster, *postmaster.children(recursive=True)]:
        process.kill()
    server.kill()
