"""The application of the tests of breakers, limits and replicas: what its jobs do is told by files in the test's folder."""

from __future__ import annotations

import os
import time
from typing import Any

from chaos_jobs import FOLDER, await_release, note

from perdure import AutoReplay, JobContext, Perdure, RetryPolicy
from perdure.manage.primary_backup import Operation
from perdure.resilience.service.deadline import remaining

BREAKER = {"failure_threshold": 2, "recovery_timeout": 1.0, "recovery_growth": 1.0, "slow_start": 2.0}
#: Open for longer than an auto-replay takes between two looks.
SLOW_BREAKER = BREAKER | {"recovery_timeout": 4.0}


def build(**settings: Any) -> Perdure:
    """Return the application."""
    app = Perdure(**settings, resilience={"breakers": {"payments": BREAKER, "payouts": SLOW_BREAKER}})

    @app.job(name="quick")
    def quick(ctx: JobContext) -> int:
        return ctx.attempt

    @app.job(name="pay", breaker="payments", retry=RetryPolicy(max_retries=2, base=0.01, max_delay=0.1))
    def pay(ctx: JobContext) -> int:
        note(ctx, "start", "pay")
        if (FOLDER / "down").exists():
            raise ConnectionError("payments does not answer")
        return ctx.attempt

    @app.job(name="refund", breaker="payments", retry="none", auto_replay=True)
    def refund(ctx: JobContext, number: int) -> int:
        note(ctx, "start", "refund")
        if (FOLDER / "down").exists():
            raise ConnectionError("payments does not answer")
        return number

    @app.job(name="pay out", breaker="payouts", retry="none", auto_replay=AutoReplay(rate="2/s", max_replays=1_000))
    def pay_out(ctx: JobContext, order: str) -> None:
        paid = FOLDER / "payouts.effects"
        if paid.exists() and len(paid.read_text().splitlines()) >= 3 and not (FOLDER / "payouts-are-back").exists():
            raise ConnectionError("payouts are down again")
        note(ctx, order, "payouts")

    @app.job(name="nested", timeout=20)
    def nested(ctx: JobContext) -> list[float | None]:
        return [ctx.remaining(), remaining(), app.service("payments").call(remaining)]

    @app.job(name="narrow", limit=2)
    def narrow(ctx: JobContext, gate: str) -> int:
        note(ctx, "start", "narrow")
        await_release(gate)
        note(ctx, "end", "narrow")
        return ctx.attempt

    @app.job(name="tenant", limit=1, limit_by="tenant", bulkhead="background")
    def tenant(ctx: JobContext, tenant: str) -> str:
        note(ctx, f"start:{tenant}", "tenant")
        time.sleep(0.05)
        note(ctx, f"end:{tenant}", "tenant")
        return tenant

    @app.job(name="paced", rate=5.0)
    def paced(ctx: JobContext) -> int:
        note(ctx, "start", "paced")
        return ctx.attempt

    @app.job(name="vote", replicas=3, retry="none")
    def vote(ctx: JobContext, how: str, size: int = 2) -> dict[str, str]:
        note(ctx, "start", "vote")
        worker = os.environ["VOTER"]
        if how == "wait":
            await_release("vote")
        if how == "write":
            with ctx.transaction(final=True):
                ctx.set_result("written three times")
        liar = worker == "w3" and how == "one lies"
        if worker == "w3" and how == "one fails":
            raise ValueError("no idea")
        return {"answer": worker if liar or how == "all differ" else "42".ljust(size, ".")}

    app.primary_backup("stock", {"eu": Shelf("eu"), "us": Shelf("us")}, run=Shelf.reserve)
    return app


class Shelf:
    """A member of the group ``stock``: a file with the keys of the operations that it has done."""

    def __init__(self, name: str) -> None:
        self.file = FOLDER / f"{name}.shelf"

    def reserve(self, operation: Operation) -> str:
        done = self.file.read_text().split() if self.file.exists() else []
        if operation.key not in done:
            with self.file.open("a") as file:
                file.write(f"{operation.key}\n")
        if operation.value == "gate" and operation.epoch == 1:
            (FOLDER / "stock.pid").write_text(str(os.getpid()))
            await_release("stock")
        return f"{operation.value} in epoch {operation.epoch}"


app = build()
