"""A job's time limit, kept by its own process: at the limit the job sees ``SoftTimeLimitExceeded``.

The limit is the ledger's, so that nobody who can write to the broker can shorten a job. A job that
catches the exception and goes on is ended by force; see :mod:`perdure_workers.overseer`.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from billiard.exceptions import SoftTimeLimitExceeded

#: What Celery's own soft limits use as well; a job keeps SIGALRM for itself.
SIGNAL = signal.SIGUSR1


@contextmanager
def soft_time_limit(seconds: float | None) -> Iterator[None]:
    """Raise ``SoftTimeLimitExceeded`` in the main thread when the block takes longer.

    Args:
        seconds: The limit; None for no bound.
    """
    if seconds is None:
        yield
        return
    armed = True

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if armed:  # a signal that was on its way when the block ended
            raise SoftTimeLimitExceeded(seconds)

    before = signal.signal(SIGNAL, interrupt)
    timer = threading.Timer(seconds, signal.pthread_kill, (threading.main_thread().ident, SIGNAL))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        armed = False
        timer.cancel()
        timer.join()
        signal.signal(SIGNAL, before)
