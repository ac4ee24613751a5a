"""End the ``perdure up`` of a home folder from another process."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from perdure_workers.up.errors import NotUp, StillUp
from perdure_workers.up.identity import await_end
from perdure_workers.up.leftovers import LEFTOVER_TIMEOUT_SECONDS, clean_up
from perdure_workers.up.runtime import Runtime, UpLock

STOP_TIMEOUT_SECONDS = 60.0
FORCE_TIMEOUT_SECONDS = 15.0


@dataclass(frozen=True)
class Stopped:
    """What ``down`` did.

    Args:
        manager_pid: the manager that was ended; ``None`` when it was dead and only its leftovers were cleaned up.
        processes: names of the processes that were ended.
        seconds: how long it took.
        forced: whether it had to be forced.
    """

    manager_pid: int | None
    processes: list[str]
    seconds: float
    forced: bool = False


def down(home: Path, timeout: float = STOP_TIMEOUT_SECONDS) -> Stopped:
    """Ask the manager to end everything, wait until it has, and force it after a while.

    Args:
        home: the home folder.
        timeout: seconds that workers get to drain.

    Raises:
        NotUp: nothing runs there.
        AlreadyUp: a new manager starts there right now.
        StillUp: the manager did not end, not even by force.
    """
    started = time.monotonic()
    runtime = Runtime.read(home)
    if runtime is None:
        raise NotUp(home)
    manager = runtime.manager.process()
    if manager is None:
        with UpLock(home):  # so that a manager that starts now and this one do not clean up side by side
            return Stopped(None, clean_up(home, min(timeout, LEFTOVER_TIMEOUT_SECONDS)), time.monotonic() - started)
    names = [record.name for record in runtime.processes if record.pid]
    forced = not _terminate(manager, timeout)
    if forced and not _terminate(manager, FORCE_TIMEOUT_SECONDS):
        raise StillUp(f"perdure up on {home} (process {manager.pid}) did not end. Look at {home / 'logs'}.")
    return Stopped(manager.pid, names, time.monotonic() - started, forced)


def _terminate(manager: psutil.Process, timeout: float) -> bool:
    """Send a stop signal (the manager forces the end on its second one) and tell whether the manager ended."""
    with suppress(psutil.NoSuchProcess):
        manager.terminate()
    return not await_end([manager], timeout)
