"""The shop's jobs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import close_old_connections

from perdure import Discard, JobContext, Perdure, Snooze
from shop.models import Order

app = Perdure()
#: How often a job looks for a row whose transaction has not ended yet, and seconds between.
LOOKS, PAUSE = 10, 1.0


@app.job(bulkhead="critical")
def charge(ctx: JobContext, number: str) -> bool:
    """Note that an order is paid; True if it was not before.

    The job is submitted inside the view's transaction, so it may start before that has ended: then it looks again later.
    If the order is never there, the view was rolled back.
    """
    with django_connections():
        if not Order.objects.filter(number=number).exists():
            if ctx.claim.snoozes < LOOKS:
                raise Snooze(PAUSE, "the order's transaction has not ended")
            raise Discard(f"there is no order {number}")
        return Order.objects.filter(number=number, paid=False).update(paid=True) == 1


@contextmanager
def django_connections() -> Iterator[None]:
    """Do for a job what Django does for a request: leave no broken or expired connection to the next one."""
    close_old_connections()
    try:
        yield
    finally:
        close_old_connections()
