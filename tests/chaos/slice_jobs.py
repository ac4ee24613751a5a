"""The application of the tests of slices: short jobs, and jobs that bring down whoever runs them."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

from chaos_jobs import FOLDER, note
from chaos_jobs import build as build_chaos

from perdure import JobContext, Perdure


def build(**settings: Any) -> Perdure:
    """Return the application."""
    app = build_chaos(**settings)

    @app.job(name="mark")
    def mark(ctx: JobContext, number: int) -> None:
        """Write a line into one file for all: the cheapest effect."""
        file = os.open(FOLDER / "marks", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{number}\n".encode())
        os.close(file)

    @app.job(name="freeze the child")
    def freeze_the_child(ctx: JobContext) -> int:
        note(ctx, "start")
        if is_first(ctx):
            os.kill(os.getpid(), signal.SIGSTOP)
        note(ctx, "end")
        return ctx.attempt

    @app.job(name="freeze the worker")
    def freeze_the_worker(ctx: JobContext) -> int:
        note(ctx, "start")
        if is_first(ctx):
            os.kill(os.getppid(), signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)
        note(ctx, "end")
        return ctx.attempt

    @app.job(name="die after its end")
    def die_after_its_end(ctx: JobContext) -> int:
        note(ctx, "start")
        if is_first(ctx):
            threading.Thread(target=kill_when_out_of, args=(sys._getframe(), threading.get_ident())).start()
        return ctx.attempt

    return app


def is_first(ctx: JobContext) -> bool:
    """Return whether a job runs for the first time, whatever the ledger counts as an attempt."""
    marker = FOLDER / f"{ctx.job_id}.ran"
    ran = marker.exists()
    marker.touch()
    return not ran


def kill_when_out_of(frame: Any, thread: int) -> None:
    """Kill this process as soon as a thread has left a frame."""
    while frame in _stack(sys._current_frames()[thread]):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def _stack(frame: Any) -> list[Any]:
    return [] if frame is None else [frame, *_stack(frame.f_back)]


app = build()
