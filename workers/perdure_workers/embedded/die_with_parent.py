"""Processes that end with their parent, even when the parent is killed with -9.

Linux tells a child by a signal of its choice that its parent has died (``prctl(2)``, ``PR_SET_PDEATHSIG``). The request
is bound to the *thread* that forked: spawn from a thread that lives as long as the process, best the main one.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def end_with_parent(sig: signal.Signals = signal.SIGTERM) -> Callable[[], None] | None:
    """Return a ``preexec_fn`` that makes the new process get ``sig`` when its parent dies.

    Args:
        sig: what the child receives.

    Returns:
        The function for :class:`subprocess.Popen`, or ``None`` where the system offers no such thing (not Linux).
    """
    if sys.platform != "linux":
        return None
    # Loaded here, in the parent: between fork and exec as little as possible may run (no import, no lock).
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent, number = os.getpid(), int(sig)

    def ask_for_signal() -> None:
        # Popen changes the user id before this runs; a later change of credentials would clear the request.
        prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it died between fork and prctl: no signal will come
            os._exit(128 + number)

    return ask_for_signal
