"""Wake-ups: how a worker's main process tells its children that there may be work."""

from __future__ import annotations

import mmap
import multiprocessing
import struct
import time

_MOMENT = struct.Struct("d")


class Wakeups:
    """A bounded count of wake-ups, shared with the children. Make it before they are forked.

    Args:
        most: How many wait at most to be taken: the number of children.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = multiprocessing.get_context("fork").BoundedSemaphore(most)
        while self._count.acquire(block=False):
            pass  # it begins full
        self._heard = mmap.mmap(-1, _MOMENT.size)

    def hear(self) -> None:
        """Note that a bell was heard."""
        _MOMENT.pack_into(self._heard, 0, time.monotonic())

    @property
    def heard_at(self) -> float:
        """When a bell was heard last, on the monotonic clock, which is that of all processes; 0 for never."""
        moment: float = _MOMENT.unpack_from(self._heard)[0]
        return moment

    def post(self) -> bool:
        """Wake a child, or the next one that is free; return False when as many wake-ups wait as there are children."""
        try:
            self._count.release()
        except ValueError:
            return False
        return True

    def wait(self, timeout: float) -> bool:
        """Wait to be woken for at most ``timeout`` seconds, and take all wake-ups that wait.

        Whoever was woken looks at all there is, and wakes another one when there is more than it can take.
        """
        if not self._count.acquire(timeout=timeout):
            return False
        while self._count.acquire(block=False):
            pass
        return True
