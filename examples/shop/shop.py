"""A shop that charges orders: what `docker compose up` runs as long as nothing else is named."""

from __future__ import annotations

from perdure import Discard, JobContext, Perdure

app = Perdure()


@app.job(bulkhead="critical", retry="fast", timeout=30)
def charge(ctx: JobContext, order: str, cents: int) -> str:
    """Charge an order once: the bank is not asked again after a crash, and a repeat is told by its key."""
    if cents <= 0:
        raise Discard(f"order {order} has nothing to charge")
    return ctx.step("bank", ask_bank, order, cents, ctx.idempotency_key)


def ask_bank(order: str, cents: int, key: str) -> str:
    """Stand in for a bank."""
    return f"{cents} cents for {order}"
