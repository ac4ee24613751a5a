"""Taking something in a thread for a coroutine, which may be cancelled before it has it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def taken_in_thread(take: Callable[[], T], give_back: Callable[[T], object]) -> T:
    """Return what ``take`` returns, run in a thread.

    A thread cannot be cancelled: what it still gets for a task that was cancelled is given back, not lost.

    Args:
        take: gets it; may block.
        give_back: called with it when nobody wants it any more.
    """
    lock = threading.Lock()
    taken: list[T] = []
    wanted = True

    def run() -> None:
        got = take()
        with lock:
            if wanted:
                taken.append(got)
                return
        give_back(got)

    try:
        await asyncio.to_thread(run)
    except asyncio.CancelledError:
        with lock:
            wanted = False
        for got in taken:
            give_back(got)
        raise
    return taken[0]
