"""What runs in a home folder, on disk: ``runtime.json`` for readers, ``up.lock`` against a second manager."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from perdure_workers.up.errors import AlreadyUp
from perdure_workers.up.identity import Identity
from perdure_workers.up.processes import Role, State

RUNTIME_FILE = "runtime.json"
LOCK_FILE = "up.lock"


class ProcessRecord(msgspec.Struct, kw_only=True):
    """One process as ``perdure status --json`` shows it, and its start time, by which it is told from a later one."""

    role: Role
    name: str
    bulkhead: str | None = None
    pid: int | None = None
    children: list[int] = []
    state: State
    create_time: float | None = None

    @property
    def identity(self) -> Identity | None:
        """The process, if one was running when this was written."""
        return Identity(self.pid, self.create_time) if self.pid and self.create_time else None


class Runtime(msgspec.Struct, kw_only=True):
    """Everything that one manager runs, and from where: its application is found from the manager's working folder."""

    home: str
    ledger_url: str
    redis_url: str
    flower_url: str | None = None
    app: str | None = None
    folder: str | None = None
    processes: list[ProcessRecord] = []
    manager: Identity

    @property
    def ready(self) -> bool:
        """Whether all processes run."""
        return bool(self.processes) and all(process.state is State.RUNNING for process in self.processes)

    def write(self, home: Path) -> None:
        """Write ``runtime.json`` so that a reader sees the old or the new one, whole. URLs may hold passwords: 0600."""
        target = home / RUNTIME_FILE
        temporary = target.with_suffix(f".{os.getpid()}")
        with open(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(self), indent=2))
        temporary.replace(target)

    @property
    def managed(self) -> bool:
        """Whether the manager that wrote this lives."""
        return self.manager.process() is not None

    @staticmethod
    def read(home: Path) -> Runtime | None:
        """Return what was written last, which may be stale; ``None`` when nothing was, or by another release."""
        try:
            return msgspec.json.decode((home / RUNTIME_FILE).read_bytes(), type=Runtime)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    @staticmethod
    def remove(home: Path) -> None:
        """Remove ``runtime.json``, if there is one."""
        (home / RUNTIME_FILE).unlink(missing_ok=True)


class UpLock:
    """One manager for a home folder. The kernel releases the lock when its holder dies, however it dies.

    Raises:
        AlreadyUp: on entering, when another process holds it.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._path = home / LOCK_FILE
        self._fd: int | None = None

    @staticmethod
    def is_held(home: Path) -> bool:
        """Return whether a manager runs on a home folder now."""
        try:
            fd = os.open(home / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def __enter__(self) -> Self:
        fd = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(fd, 32)
            os.close(fd)
            raise AlreadyUp(self._home, int(holder) if holder.strip().isdigit() else None) from None
        os.ftruncate(fd, 0)
        os.write(fd, str(os.getpid()).encode())
        self._fd = fd
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # The file stays: a lock on a removed file would not keep out who opens a new one.
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
