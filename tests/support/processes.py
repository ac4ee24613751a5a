"""Real processes in tests."""

from __future__ import annotations

import psutil


def alive(pid: int) -> bool:
    """Tell whether the process runs; one that ended and waits for its parent to notice (a zombie) does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
