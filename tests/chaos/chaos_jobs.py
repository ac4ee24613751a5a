"""The application that chaos tests run: its jobs write down what they do, and wait for files rather than for time."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded
from sqlalchemy import text

from perdure import JobContext, NodeUnfit, Perdure

FOLDER = Path(os.environ.get("CHAOS_FOLDER", "."))
#: Seconds after which a job that nobody releases gives up.
PATIENCE = 60.0


def note(ctx: JobContext, what: str, name: str | None = None) -> None:
    """Write a line about an attempt; one write(2) in append mode, so that lines of several processes do not mix."""
    line = f"{what} {ctx.attempt} {ctx.fence} {os.getpid()} {time.monotonic():.6f}\n"
    file = os.open(FOLDER / f"{name or ctx.job_id}.effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def await_release(gate: str) -> None:
    """Wait until the test opens a gate."""
    give_up_at = time.monotonic() + PATIENCE
    while not (FOLDER / f"{gate}.open").exists():
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"nobody opened {gate}")
        time.sleep(0.01)


def build(**settings: Any) -> Perdure:
    """Return the application."""
    app = Perdure(**settings)

    @app.job(name="quick")
    def quick(ctx: JobContext) -> int:
        note(ctx, "start")
        note(ctx, "end")
        return ctx.attempt

    @app.job(name="nap")
    def nap(ctx: JobContext, seconds: float) -> int:
        note(ctx, "start")
        time.sleep(seconds)
        note(ctx, "end")
        return ctx.attempt

    @app.job(name="hold")
    def hold(ctx: JobContext, gate: str) -> int:
        note(ctx, "start")
        await_release(gate)
        note(ctx, "end")
        return ctx.attempt

    @app.job(name="steps")
    def steps(ctx: JobContext, gate: str, gate_at: int, total: int) -> list[int]:
        state = ctx.checkpoint.load(default={"next": 0})
        first = state["next"]
        note(ctx, f"start:{first}")
        for step in range(first, total):
            if step == gate_at:
                await_release(gate)
            note(ctx, f"step:{step}")
            ctx.checkpoint.save({"next": step + 1})
        return [first, ctx.attempt]

    @app.job(name="march")
    def march(ctx: JobContext, total: int, pause: float) -> list[int]:
        state = ctx.checkpoint.load(default={"next": 0})
        first = state["next"]
        note(ctx, f"start:{first}")
        for step in range(first, total):
            time.sleep(pause)
            ctx.checkpoint.save({"next": step + 1})
            note(ctx, f"saved:{step + 1}")
        note(ctx, "end")
        return [first, ctx.attempt]

    @app.job(name="count")
    def count(ctx: JobContext, total: int) -> None:
        done = ctx.checkpoint.load(default=0)
        note(ctx, f"start:{done}")
        for number in range(done, total):
            with ctx.transaction(final=number + 1 == total) as connection:
                values = {"job": ctx.job_id, "number": number}
                connection.execute(text("INSERT INTO counted (job_id, number) VALUES (:job, :number)"), values)
                ctx.checkpoint.save(number + 1)

    @app.job(name="die")
    def die(ctx: JobContext, how: str, times: int) -> int:
        note(ctx, "start")
        if ctx.attempt <= times:
            ctx.log.warning("about to die by %s", how)
            end_process(how)
        return ctx.attempt

    @app.job(name="particular")
    def particular(ctx: JobContext) -> int:
        note(ctx, "start")
        if ctx.attempt == 1:
            raise NodeUnfit("the disk is read-only")
        return ctx.attempt

    @app.job(name="stubborn", timeout=0.3, retry="none")
    def stubborn(ctx: JobContext) -> None:
        note(ctx, "start")
        ignore_limits()

    @app.job(name="deaf")
    def deaf(ctx: JobContext) -> None:
        note(ctx, "start")
        ignore_limits()

    @app.job(name="sleepy", retry="none")
    def sleepy(ctx: JobContext) -> None:
        note(ctx, "start")
        time.sleep(PATIENCE)

    @app.job(name="brief sleeper", timeout=0.3, retry="none")
    def brief_sleeper(ctx: JobContext) -> None:
        note(ctx, "start")
        time.sleep(PATIENCE)

    @app.job(name="polite")
    def polite(ctx: JobContext) -> None:
        note(ctx, "start")
        give_up_at = time.monotonic() + PATIENCE
        while time.monotonic() < give_up_at:
            ctx.check()
            time.sleep(0.02)

    return app


def end_process(how: str) -> None:
    """End this process in a way that no handler sees."""
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "segfault":
        ctypes.string_at(0)
    else:
        os._exit(3)


def ignore_limits() -> None:
    """Go on whatever is raised, as code with a bare ``except`` does."""
    give_up_at = time.monotonic() + PATIENCE
    while time.monotonic() < give_up_at:
        try:
            time.sleep(0.05)
        except SoftTimeLimitExceeded:
            continue
