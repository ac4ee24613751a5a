"""The home folder: where embedded servers keep their data, and how a script beside them finds them.

A script that runs ``Perdure()`` in a folder where ``perdure up`` runs (or will run), or below it, needs no configuration:
the ledger is ``ledger.db`` in the home folder, and the embedded Redis listens on a port that follows from the folder's
path, so that submitters that started first have the right address. ``redis.port`` names another, if that one was taken.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
from pathlib import Path

from perdure.errors import SettingsError
from perdure.system.ports import free_port
from perdure.system.private import tighten, write_private

#: Files of a home folder that tell what is nobody else's business, where somebody's umask let others read them.
_PRIVATE = ("ledger.db", "ledger.db-wal", "ledger.db-shm", "redis.password", "flower.password", "runtime.json", "logs")
#: What a password is made of, so that it stands in a URL as it is.
_PASSWORD = re.compile(r"[A-Za-z0-9_-]{16,}")

logger = logging.getLogger("perdure.home")

#: Ports for embedded Redis servers: below those that systems give to outgoing connections.
FIRST_PORT, PORTS = 20_000, 10_000
#: What the first start of a platform leaves in its home folder, beside the ledger.
STARTED = ("up.lock", "workers")

_warned: set[Path] = set()


class Home:
    """The layout of a home folder.

    Args:
        path: The folder; made when something is first written to it, readable by its owner alone.

    Raises:
        SettingsError: It names a user whom nobody knows, or one of its files cannot be read or makes no sense.
    """

    def __init__(self, path: Path) -> None:
        try:
            self.path = path.expanduser().absolute()
        except RuntimeError as error:  # ~ of a user whom nobody knows
            raise SettingsError(f"home = {str(path)!r}: {error}") from None
        nearest = next(place for place in (self.path, *self.path.parents) if place.exists())
        if not nearest.is_dir():
            raise SettingsError(f"home = {str(path)!r}: {nearest} is no folder")
        self._is_private = False

    @property
    def ledger_url(self) -> str:
        """The embedded ledger's SQLAlchemy URL; what others may do with a home that is there is taken from them."""
        self._make_private()
        return f"sqlite:///{self.path / 'ledger.db'}"

    @property
    def redis_url(self) -> str:
        """The embedded Redis' URL, with its password; without one where there is no home folder yet."""
        login = f":{self.redis_password}@" if self.path.exists() else ""
        return f"redis://{login}127.0.0.1:{self.redis_port}/0"

    @property
    def redis_port(self) -> int:
        """The embedded Redis' TCP port on the loopback interface; a file that holds no port is a SettingsError."""
        self._make_private()
        file = self.path / "redis.port"
        try:
            text = file.read_text()
        except (FileNotFoundError, NotADirectoryError):
            return _port_of(self.path)
        if not text.strip().isdigit():
            raise SettingsError(f"{file} holds {text!r:.40}, which is no port. Delete it; perdure up chooses one then.")
        return int(text)

    @property
    def redis_password(self) -> str:
        """The embedded Redis' password, which other accounts of the machine cannot read; chosen on first use.

        Raises:
            SettingsError: Its file cannot be read, or holds none.
        """
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

    @property
    def was_started(self) -> bool:
        """Whether a platform ever ran on this folder."""
        return any((self.path / name).exists() for name in STARTED)

    def warn_unless_started(self) -> None:
        """Say in the log, once in a process, that nothing runs what is submitted here."""
        if self.path not in _warned and not self.was_started:
            _warned.add(self.path)
            logger.warning("%s", never_started(self.path))

    def worker_lock(self, worker_id: str) -> Path:
        """Return the file that a worker's main process keeps locked for its life."""
        return self.path / "workers" / f"{worker_id}.lock"

    def choose_new_redis_port(self) -> int:
        """Return and remember another port, for when somebody else listens on the one chosen before."""
        return self.keep_redis_port(free_port())

    def keep_redis_port(self, port: int) -> int:
        """Remember the port, for whoever knows the folder by another path, and return it."""
        file = self.ensure() / "redis.port"
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


def never_started(path: Path) -> str:
    """Return what to say when something is submitted to a home folder that no platform serves."""
    return (
        f"no platform was ever started on {path}: what is submitted there waits until one is. Start it with: perdure up. "
        "If it runs elsewhere, go there or below it, or name its home folder: PERDURE_HOME, or --home"
    )


def _port_of(path: Path) -> int:
    digest = hashlib.sha256(os.fsencode(path.resolve())).digest()
    return FIRST_PORT + int.from_bytes(digest[:4], "big") % PORTS
