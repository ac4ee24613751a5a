"""A job's time limit, kept by its own process: at the limit the job sees ``SoftTimeLimitExceeded``.

The limit is the ledger's, so that nobody who can write to the broker can shorten a job. A job that catches the exception
and goes on is ended by force; see :mod:`perdure_workers.recovery.overseer`.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from billiard.exceptions import SoftTimeLimitExceeded

#: What Celery's own soft limits use as well; a job keeps SIGALRM for itself.
SIGNAL = signal.SIGUSR1


#: Part of a job's time that is kept for what it does when a call inside took too long; the least and the most of it in
#: seconds, and never more than half.
MARGIN, SHORTEST_MARGIN, LONGEST_MARGIN = 0.1, 0.25, 1.0

#: Seconds after which an alarm says that the whole process stood still: what it interrupts has the shortest margin anew.
LATE = 0.1


def time_for_calls(limit: float | None) -> float | None:
    """Return the seconds that calls inside of a job have: a little less than the job.

    So a service's own timeout comes first, and its fallback's answer, or its error, is the job's to use.
    """
    if limit is None:
        return None
    return limit - min(max(MARGIN * limit, SHORTEST_MARGIN), LONGEST_MARGIN, limit / 2)


class AlarmClock:
    """A thread that interrupts this process' main thread at a moment.

    One for all jobs: to start a thread for each costs as much as to run a short job. It is woken only for an alarm that is
    earlier than the one that it sleeps for.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._at: float | None = None
        self._may_put_off = False
        self._sleeps_until = float("inf")
        self._main = threading.main_thread().ident
        threading.Thread(target=self._run, name="perdure-alarm", daemon=True).start()

    def set(self, at: float | None) -> None:
        """Ring at a moment of the monotonic clock, or not at all."""
        with self._changed:
            self._at, self._may_put_off = at, True
            if at is not None and at < self._sleeps_until:
                self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while True:
                left = None if self._at is None else self._at - time.monotonic()
                if left is not None and left <= 0:
                    if -left > LATE and self._may_put_off:
                        self._at, self._may_put_off = time.monotonic() + SHORTEST_MARGIN, False
                        continue
                    self._at = None
                    signal.pthread_kill(self._main or 0, SIGNAL)
                    continue
                self._sleeps_until = float("inf") if self._at is None else self._at
                self._changed.wait(left)
                self._sleeps_until = float("-inf")


_clock: AlarmClock | None = None
_pid = 0


@contextmanager
def soft_time_limit(seconds: float | None) -> Iterator[None]:
    """Raise ``SoftTimeLimitExceeded`` in the main thread when the block takes longer.

    Args:
        seconds: The limit; None for no bound.
    """
    if seconds is None:
        yield
        return
    clock = _alarm_clock()
    armed = True

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if armed:  # a signal that was on its way when the block ended
            raise SoftTimeLimitExceeded(seconds)

    before = signal.signal(SIGNAL, interrupt)
    clock.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        armed = False
        clock.set(None)
        signal.signal(SIGNAL, before)


def _alarm_clock() -> AlarmClock:
    """Return this process' clock: threads do not survive a fork."""
    global _clock, _pid
    if _clock is None or _pid != os.getpid():
        _clock, _pid = AlarmClock(), os.getpid()
    return _clock
