"""Keeping logs small: what `perdure up` runs writes for months."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

LARGEST_LOG_BYTES = 10 * 1024 * 1024
KEPT_LOGS = 3
"""Older parts of a log, ``NAME.log.1`` being the newest of them."""


def rotate_all(home: Path, largest: int = LARGEST_LOG_BYTES, kept: int = KEPT_LOGS) -> list[Path]:
    """Rotate the logs of a home folder that have grown too large and return which these were.

    Args:
        home: the home folder.
        largest: bytes from which on a log is rotated.
        kept: older parts that are kept.
    """
    found = [*(home / "logs").glob("*.log"), home / "redis" / "redis.log"]
    return [log for log in found if _size(log) > largest and rotate(log, kept)]


def rotate(log: Path, kept: int = KEPT_LOGS) -> bool:
    """Copy a log away and empty it; return whether that was possible.

    Its writers have it open, and append, so it must stay the same file; a line that is written between the copy and its
    end is lost.
    """
    copied = log.with_name(f"{log.name}.new")
    try:
        shutil.copy2(log, copied)
        for number in range(kept - 1, 0, -1):
            if (older := _part(log, number)).exists():
                older.replace(_part(log, number + 1))
        copied.replace(_part(log, 1))
        os.truncate(log, 0)
    except OSError:  # a full disk: the log grows on until there is room
        copied.unlink(missing_ok=True)
        return False
    return True


def _part(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0
