"""The home folder: where embedded servers keep their data, and how a script beside them finds them.

A script that runs ``Perdure()`` in a folder where ``perdure up`` runs (or will run) needs no configuration: the ledger is
``ledger.db`` in the home folder, and the embedded Redis listens on the port that ``redis.port`` names. The port is chosen
once for a home folder, so that submitters that started first keep the right address.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from perdure.errors import SettingsError


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

    @property
    def ledger_url(self) -> str:
        """The embedded ledger's SQLAlchemy URL."""
        return f"sqlite:///{self.path / 'ledger.db'}"

    @property
    def redis_url(self) -> str:
        """The embedded Redis' URL; chooses its port on first use."""
        return f"redis://127.0.0.1:{self.redis_port}/0"

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

    def worker_lock(self, worker_id: str) -> Path:
        """Return the file that a worker's main process keeps locked for its life."""
        return self.path / "workers" / f"{worker_id}.lock"

    def choose_new_redis_port(self) -> int:
        """Return and remember another port, for when somebody else listens on the one chosen before."""
        port = free_port()
        temporary = self.ensure() / f"redis.port.{os.getpid()}"
        temporary.write_text(str(port))
        temporary.replace(self.path / "redis.port")
        return port

    def ensure(self) -> Path:
        """Make the folder if need be and return its path."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.path

    def _write_once(self, file: Path, text: str) -> None:
        temporary = self.ensure() / f"{file.name}.{os.getpid()}"
        temporary.write_text(text)
        try:
            os.link(temporary, file)  # fails when another process was first: its choice counts
        except FileExistsError:
            pass
        finally:
            temporary.unlink()


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
