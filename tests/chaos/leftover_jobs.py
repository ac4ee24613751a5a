"""Jobs that start processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from chaos_jobs import await_release, note
from chaos_jobs import build as build_chaos

from perdure import JobContext, Perdure

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def sleep_on() -> None:
    time.sleep(600)


def square(number: int) -> int:
    return number * number


def start_subprocess() -> int:
    return subprocess.Popen(SLEEP).pid


def start_session() -> int:
    return subprocess.Popen(SLEEP, start_new_session=True).pid


def start_daemon_process() -> int:
    process = multiprocessing.Process(target=sleep_on, daemon=True)
    process.start()
    assert process.pid is not None
    return process.pid


def fork_twice() -> int:
    """Make a process whose parent is gone, in a session of its own, as daemons do."""
    reads, writes = os.pipe()
    if (child := os.fork()) == 0:
        os.setsid()
        if (grandchild := os.fork()) == 0:
            os.close(reads)
            os.execv(sys.executable, SLEEP)
        os.write(writes, str(grandchild).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writes)
    with os.fdopen(reads) as told:
        return int(told.read())


def start_shell() -> int:
    """Start a process that starts another one, and return that."""
    shell = subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE)
    assert shell.stdout is not None
    return int(shell.stdout.readline())


WAYS = {way.__name__: way for way in (start_subprocess, start_session, start_daemon_process, fork_twice, start_shell)}


def build(**settings: Any) -> Perdure:
    """Return the application."""
    app = build_chaos(**settings)

    @app.job(name="leave", retry="none")
    def leave(ctx: JobContext, way: str, end: str) -> int:
        """Start a process, and end: as jobs do, or with this process."""
        pid = WAYS[way]()
        note(ctx, f"left:{pid}")
        if end == "kill":
            await_release("die")
            os.kill(os.getpid(), signal.SIGKILL)
        return pid

    @app.job(name="spread")
    def spread(kind: str) -> list[int]:
        """Work with processes of multiprocessing."""
        if kind == "Pool":
            with multiprocessing.Pool(2) as pool:
                return pool.map(square, range(5))
        context = None if kind == "default" else multiprocessing.get_context(kind)
        with ProcessPoolExecutor(2, mp_context=context) as executor:
            return list(executor.map(square, range(5)))

    return app


if "CHAOS_FOLDER" in os.environ:
    app = build()
