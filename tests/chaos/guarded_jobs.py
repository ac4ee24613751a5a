"""The application of the tests of breakers, limits and replicas: what its jobs do is told by files in the test's folder."""

from __future__ import annotations

from typing import Any

from chaos_jobs import FOLDER, note

from perdure import JobContext, Perdure, RetryPolicy
from perdure.resilience.deadline import remaining

BREAKER = {"failure_threshold": 2, "recovery_timeout": 1.0, "recovery_growth": 1.0, "slow_start": 2.0}


def build(**settings: Any) -> Perdure:
    """Return the application."""
    app = Perdure(**settings, resilience={"breakers": {"payments": BREAKER}})

    @app.job(name="pay", breaker="payments", retry=RetryPolicy(max_retries=2, base=0.01, max_delay=0.1))
    def pay(ctx: JobContext) -> int:
        note(ctx, "start", "pay")
        if (FOLDER / "down").exists():
            raise ConnectionError("payments does not answer")
        return ctx.attempt

    @app.job(name="nested", timeout=20)
    def nested(ctx: JobContext) -> list[float | None]:
        return [ctx.remaining(), remaining(), app.service("payments").call(remaining)]

    return app


app = build()
