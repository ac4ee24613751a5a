"""What a manager leaves that was killed with -9: processes that still end, and its ``runtime.json``."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from perdure_workers.up.identity import await_end
from perdure_workers.up.runtime import Runtime

LEFTOVER_TIMEOUT_SECONDS = 10.0
"""Time that processes of a dead manager get to end: they were told to when it died."""


def clean_up(home: Path, timeout: float = LEFTOVER_TIMEOUT_SECONDS) -> list[str]:
    """End what a dead manager left and remove its ``runtime.json``. Hold the lock of the home folder when you call it.

    Args:
        home: the home folder.
        timeout: seconds to wait for processes that end by themselves, before they are killed (a job of a killed worker
            is rescued like that of any crashed one).

    Returns:
        Names of the processes that were still alive.
    """
    runtime = Runtime.read(home)
    alive: dict[int, str] = {}
    processes: list[psutil.Process] = []
    for record in runtime.processes if runtime else []:
        process = record.identity.process() if record.identity else None
        if process is not None:
            alive[process.pid] = record.name
            processes.append(process)
            if sys.platform != "linux":  # there the death of the manager told them; a second SIGTERM may cut a drain
                with suppress(psutil.NoSuchProcess):
                    process.terminate()
    stubborn = await_end(processes, timeout)
    for process in stubborn:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # each leads a session of its own
    await_end(stubborn, LEFTOVER_TIMEOUT_SECONDS)
    Runtime.remove(home)
    return list(alive.values())
