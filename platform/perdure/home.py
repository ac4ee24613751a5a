"""The home folder: where embedded servers keep their data, and how a script beside them finds them.

A script that runs ``Perdure()`` in a folder where ``perdure up`` runs (or will run) needs no configuration: the ledger is
``ledger.db`` in the home folder, and the embedded Redis listens on the port that ``redis.port`` names. The port is chosen
once for a home folder, so that submitters that started first keep the right address.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
from pathlib import Path

from perdure.errors import SettingsError
from perdure.private import tighten, write_private

#: Files of a home folder that tell what is nobody else's business, where somebody's umask let others read them.
_PRIVATE = ("ledger.db", "ledger.db-wal", "ledger.db-shm", "redis.password", "flower.password", "runtime.json", "logs")
#: What a password is made of, so that it stands in a URL as it is.
_PASSWORD = re.compile(r"[A-Za-z0-9_-]{16,}")


class Home:
    """The layout of a home folder.

    Args:
        path: The folder; made when something is first written to it, readable by its owner alone.
    """

    def __init__(self, path: Path) -> None:
        try:
            self.path = path.expanduser().absolute()
        except RuntimeError as error:  # ~ of a user whom nobody knows
            raise SettingsError(f"home = {str(path)!r}: {error}") from None
        self._is_private = False

    @property
    def ledger_url(self) -> str:
        """The embedded ledger's SQLAlchemy URL; what others may do with a home that is there is taken from them."""
        self._make_private()
        return f"sqlite:///{self.path / 'ledger.db'}"

    @property
    def redis_url(self) -> str:
        """The embedded Redis' URL, with its password; chooses both on first use."""
        return f"redis://:{self.redis_password}@127.0.0.1:{self.redis_port}/0"

    @property
    def redis_port(self) -> int:
        """The embedded Redis' TCP port on the loopback interface; chosen on first use."""
        file = self.path / "redis.port"
        if not file.exists():
            self._write_once(file, str(free_port()))
        text = file.read_text()
        if not text.strip().isdigit():
            raise SettingsError(f"{file} holds {text!r:.40}, which is no port. Delete the file; a new port is chosen then.")
        return int(text)

    @property
    def redis_password(self) -> str:
        """The embedded Redis' password, which other accounts of the machine cannot read; chosen on first use."""
        file = self.path / "redis.password"
        if not file.exists():
            self._write_once(file, secrets.token_urlsafe(24))
        try:
            text = file.read_text().strip()
        except (PermissionError, UnicodeError) as error:
            raise SettingsError(f"{file}: {error}. Run this as the account that runs perdure up there.") from error
        if not _PASSWORD.fullmatch(text):
            raise SettingsError(f"{file} holds no password. Delete the file; a new one is chosen when perdure up starts.")
        return text

    def worker_lock(self, worker_id: str) -> Path:
        """Return the file that a worker's main process keeps locked for its life."""
        return self.path / "workers" / f"{worker_id}.lock"

    def choose_new_redis_port(self) -> int:
        """Return and remember another port, for when somebody else listens on the one chosen before."""
        port, file = free_port(), self.ensure() / "redis.port"
        self._new(file, str(port)).replace(file)
        return port

    def ensure(self) -> Path:
        """Make the folder if need be, take from others what they may do in it, and return its path."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._make_private()
        return self.path

    def _make_private(self) -> None:
        if not self._is_private:
            self._is_private = self.path.exists()
            for name in ("", *_PRIVATE):
                tighten(self.path / name)

    def _write_once(self, file: Path, text: str) -> None:
        temporary = self._new(file, text)
        try:
            os.link(temporary, file)  # fails when another process was first: its choice counts
        except FileExistsError:
            pass
        finally:
            temporary.unlink()

    def _new(self, file: Path, text: str) -> Path:
        temporary = self.ensure() / f"{file.name}.{secrets.token_hex(8)}"
        write_private(temporary, text)
        return temporary


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
