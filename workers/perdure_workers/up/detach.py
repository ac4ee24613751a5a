"""``perdure up --detach``: the manager in a session of its own, and the prompt back when all are ready."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from perdure_workers.embedded.errors import log_tail
from perdure_workers.up.errors import ProcessStartFailed
from perdure_workers.up.runtime import Runtime

READY_TIMEOUT_SECONDS = 120.0
READY_POLL_SECONDS = 0.05
STOP_TIMEOUT_SECONDS = 15.0


def start_detached(argv: Sequence[str], home: Path, timeout: float = READY_TIMEOUT_SECONDS) -> Runtime:
    """Start a manager that outlives this process, and return when all that it runs is ready.

    Args:
        argv: command that runs the manager in the foreground (``perdure up`` without ``--detach``).
        home: its home folder; what it prints goes to ``logs/up.log`` there.
        timeout: seconds until all must be ready; the manager is ended after that.

    Raises:
        ProcessStartFailed: the manager ended or is late; the message quotes the end of its log.
    """
    log_file = home / "logs" / "up.log"
    log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    log_file.write_bytes(b"")
    with log_file.open("ab") as log:  # appended to, so that it can be rotated
        manager = subprocess.Popen(  # noqa: S603 - the platform's own command
            list(argv), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        runtime = Runtime.read(home)
        if runtime is not None and runtime.manager.pid == manager.pid and runtime.ready:
            return runtime
        code = manager.poll()
        if code is not None:
            raise ProcessStartFailed(f"perdure up ended with exit code {code}:\n{log_tail(log_file)}")
        time.sleep(READY_POLL_SECONDS)
    _give_up(manager)
    raise ProcessStartFailed(f"perdure up was not ready within {timeout:g} s and was ended:\n{log_tail(log_file)}")


def _give_up(manager: subprocess.Popen[bytes]) -> None:
    for sig in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):  # the second one forces; -9 takes the rest along
        manager.send_signal(sig)
        try:
            manager.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return
