"""A process' pulse: its main loop beats in a file, and whoever asks whether that process lives reads the file.

To ask costs next to nothing: nothing of the application is loaded, and no server is asked. A process that is frozen, or
whose main loop hangs, does not beat; one whose database or broker is away does, and waits for it.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

#: Seconds between two beats.
EVERY = 2.0
#: Seconds without a beat after which a process counts as dead or frozen.
PATIENCE = 20.0
#: Seconds by which a beat may seem to lie ahead of who reads it: it is written rounded.
ROUNDED = 0.001


class Beat(Struct, frozen=True):
    """What is known of a process.

    Attributes:
        name: Its name, such as ``normal@host``.
        pid: Its process id.
        age: Seconds since its last beat; None when that cannot be said: the machine was started anew since.
        http: Where it serves its probes, if it does.
    """

    name: str
    pid: int
    age: float | None
    http: str | None = None

    @property
    def is_alive(self) -> bool:
        """Whether it beat lately."""
        return self.age is not None and self.age <= PATIENCE


class Pulse:
    """The pulse of this process.

    Args:
        home: The home folder.
        name: The process' name; the host's is added where it has none.
    """

    def __init__(self, home: Path, name: str) -> None:
        self._file = _folder(home) / (name if "@" in name else f"{name}@{socket.gethostname()}")
        self._pid = os.getpid()
        self._beat_at: float | None = None
        #: Where this process serves its probes, if it does.
        self.http = ""

    @property
    def age(self) -> float | None:
        """Seconds since the last beat; None before the first one."""
        return None if self._beat_at is None else time.monotonic() - self._beat_at

    def beat(self) -> None:
        """Say that this process' main loop goes round. A disk that is full must not end it."""
        self._beat_at = time.monotonic()
        with suppress(OSError):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # One short write in place: who reads it meanwhile sees the beat before or this one.
            with open(self._file, "r+b" if self._file.exists() else "wb", buffering=0) as file:
                file.write(f"{self._beat_at:020.3f} {self._pid:<10} {self.http:<64}\n".encode())

    def end(self) -> None:
        """Say that this process ends as it should."""
        with suppress(OSError):
            self._file.unlink(missing_ok=True)


def beats(home: Path, name: str | None = None) -> list[Beat]:
    """Return the processes that beat in a home folder and have not ended as they should.

    Args:
        home: The home folder.
        name: Only the process of this name, with or without its host; without a name, all of this host.
    """
    host, folder = socket.gethostname(), _folder(home)
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    wanted = [file for file in files if _is(file.name, name, host)]
    return [beat for file in wanted if (beat := _read(file)) is not None]


def _is(found: str, name: str | None, host: str) -> bool:
    return found.endswith(f"@{host}") if name is None else found in (name, f"{name}@{host}")


def _read(file: Path) -> Beat | None:
    try:
        beat, pid, *http = file.read_text().split()
        age = time.monotonic() - float(beat)
        return Beat(file.name, int(pid), max(0.0, age) if age >= -ROUNDED else None, http[0] if http else None)
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return Beat(file.name, 0, None)


def _folder(home: Path) -> Path:
    return home / "pulses"
