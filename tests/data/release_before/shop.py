"""The application whose ledger is kept beside this file; its functions' names are in the letters' fingerprints."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import Any

from perdure import Discard, JobContext, Perdure, RetryAfter, RetryPolicy, Snooze

TWICE = RetryPolicy(max_retries=2, base=0.01, max_delay=0.02)


class CarrierDown(Exception):
    """An error of the application's own."""


@dataclass
class Receipt:
    """A typed result."""

    order: str
    cents: int


def build(**settings: Any) -> Perdure:
    """Return the application."""
    app = Perdure(resilience={"services": {"carrier": {"timeout": 0.05}}}, **settings)

    @app.job(name="shop.charge", bulkhead="critical", retry=TWICE)
    def charge(order: str, cents: int) -> Receipt:
        if cents <= 0:
            raise Discard(f"order {order} has nothing to charge")
        return Receipt(order, cents)

    @app.job(name="shop.ship", retry=TWICE)
    def ship(order: str, carrier: str = "post") -> str:
        raise CarrierDown(f"{carrier} does not take order 4711 of '{order}'")

    @app.job(name="shop.ask", retry=TWICE)
    def ask(order: str) -> str:
        raise RetryAfter(0.01, "too many requests")

    @app.job(name="shop.wait", retry=TWICE)
    def wait(order: str) -> str:
        raise Snooze(86400.0, "the shop is closed")

    @app.job(name="shop.call", retry=TWICE)
    def call(order: str) -> str:
        app.service("carrier").call(time.sleep, 1)
        return order

    @app.job(name="shop.count", retry=TWICE)
    def count(ctx: JobContext, order: str) -> str:
        ctx.step("begun", str.upper, order)
        ctx.checkpoint.save({"counted": 3})
        ctx.progress(3, 10, "counting")
        ctx.checkpoint.save({"what": object()})  # perdure itself refuses it
        return order

    @app.job(name="shop.slow", timeout=0.3, retry=RetryPolicy(max_retries=0))
    def slow(order: str) -> str:
        time.sleep(30)
        return order

    @app.job(name="shop.poison")
    def poison(order: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    @app.job(name="shop.buy", breaker="supplier", retry=TWICE)
    def buy(ctx: JobContext, order: str) -> str:
        if ctx.step("quote", len, order) > 0:
            raise ConnectionError(f"supplier refused {order}")
        return order

    @app.periodic(cron="30 4 * * *")
    @app.job(name="shop.report", bulkhead="background")
    def report() -> int:
        return 7

    return app
