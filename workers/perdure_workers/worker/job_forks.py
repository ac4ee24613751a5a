"""Processes that a job forks end at a signal as any other process does.

A child of Celery's pool turns signals that end it into ``SystemExit``. What a job forks, as ``multiprocessing`` does,
inherits that, and Python drops an exception that comes while its hooks after a fork run: a ``terminate()`` at that moment
would be lost, and the ``join()`` after it would wait for ever.
"""

from __future__ import annotations

import os
import signal
import threading

#: Those that the pool handles in its children.
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)


def let_forks_end() -> None:
    """Give what this process forks from now on the default handling of signals; what a job handles itself stays."""
    inherited = {number: signal.getsignal(number) for number in SIGNALS}
    thread = threading.local()

    def hold() -> None:
        thread.mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    def release() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, thread.mask)

    def restore() -> None:
        for number, handler in inherited.items():
            if signal.getsignal(number) is handler:
                signal.signal(number, signal.SIG_DFL)
        release()

    os.register_at_fork(before=hold, after_in_parent=release, after_in_child=restore)
