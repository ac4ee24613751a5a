"""A shop's tasks, for tests of dead letters."""

from __future__ import annotations

from typing import Any

from perdure import JobContext, Perdure


def define(app: Perdure) -> None:
    """Add the tasks to an application."""

    @app.job(name="shop.charge", bulkhead="critical", breaker="payments")
    def charge(order: str, cents: int) -> int:
        return cents

    @app.job(name="shop.mail", bulkhead="normal", priority=7)
    def mail(ctx: JobContext, to: str) -> Any:
        return ctx.checkpoint.load(default="no checkpoint")
