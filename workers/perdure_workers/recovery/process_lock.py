"""A file that a worker's main process keeps locked for its life: the kernel releases it at once, however the process ends.

So neighbours on the same host see a worker's death within a tenth of a second, where missed heartbeats take seconds. A
record lock (``fcntl``) is used because, unlike ``flock``, forked children do not inherit it. A false alarm does no harm:
the fence keeps a worker that was declared dead from writing.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

#: Files that this process keeps locked. They must not be opened again here: closing any descriptor of a file releases
#: the process' record locks on it (fcntl(2)).
_held: set[Path] = set()


class LifeLock:
    """The lock of this process' worker.

    Args:
        path: The file; made when it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def take(self) -> None:
        """Lock the file, until this process ends or :meth:`release` is called."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _held.add(self.path)

    def release(self) -> None:
        """Unlock the file and remove it."""
        if self._file is not None:
            self.path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None
            _held.discard(self.path)


def held_here() -> list[str]:
    """Return the files that this process keeps locked."""
    return [str(path) for path in _held]


def is_held_here(path: Path) -> bool:
    """Return whether this process keeps a file locked."""
    return path in _held


def holder_is_gone(path: Path) -> bool:
    """Return whether a lock file is there and nobody holds it; False when it cannot be told."""
    if is_held_here(path):
        return False
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False  # removed in order, or on a disk that is not ours: heartbeats will tell
    try:
        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: several watchers do not hinder each other
    except OSError:
        return False
    finally:
        os.close(file)
    return True
