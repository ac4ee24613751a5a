"""Memory of a process with many threads that hardly do anything: glibc gives each of them an arena of its own."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys

#: Arenas of a process: for its main thread, and one that all others share.
ARENAS = 2
#: mallopt(3).
_M_ARENA_MAX = -8


def share_arenas() -> None:
    """Have this process and its children use few arenas, unless the environment says how many; before it has threads.

    Some megabytes of each worker. Does nothing where the C library has no such thing.
    """
    if sys.platform == "linux" and "MALLOC_ARENA_MAX" not in os.environ:
        with contextlib.suppress(AttributeError):  # musl
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)
