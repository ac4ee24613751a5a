"""Wake-ups: how a worker's main process tells its children that there may be work."""

from __future__ import annotations

import mmap
import multiprocessing


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
        self._told = mmap.mmap(-1, 1)
        #: In a child: whether somebody who knew of work woke it last, and not only a look.
        self.was_told = False

    def post(self, *, told: bool = True) -> bool:
        """Wake a child, or the next one that is free; return False when as many wake-ups wait as there are children.

        Args:
            told: Whether somebody told of work; False when a look has found it.
        """
        if told:
            self._told[0] = 1
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
        self.was_told, self._told[0] = bool(self._told[0]), 0
        return True
