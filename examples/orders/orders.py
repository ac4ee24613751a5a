"""Order payments: each order is paid once, and what an order that cannot be kept had done is undone.

- A second click is the same job, by ``idempotency_key``; a retry is the same charge, by ``ctx.idempotency_key``.
- While the bank is away its breaker holds the jobs back, with no attempt burned.
- A saga: when a step is refused, those before it are undone, the last one first.
"""

from __future__ import annotations

from collections.abc import Callable

import services
from services import Refused

from perdure import Discard, JobContext, Perdure, RetryPolicy

app = Perdure(resilience={"breakers": {"bank": {"failure_threshold": 3, "recovery_timeout": 0.5}}})

#: What an order needs, in this order, each with what undoes it.
SAGA = (("charge", services.charge, services.refund), ("reserve", services.reserve, services.release))


@app.job(bulkhead="critical", breaker="bank", timeout=30, retry=RetryPolicy(max_retries=5, base=0.2, max_delay=60))
def place(ctx: JobContext, order: str, cents: int, item: str) -> str:
    """Charge the customer and put the goods aside, or neither."""
    call = (ctx.idempotency_key, order, cents, item)
    done: list[tuple[str, Callable[..., None]]] = []
    for name, do, undo in SAGA:
        if refusal := ctx.step(name, refusal_of, do, *call):
            for earlier, back in reversed(done):
                ctx.step(f"undo {earlier}", back, *call)
            raise Discard(f"{order}: {refusal}")
        done.append((name, undo))
    return f"{order} is paid"


def refusal_of(do: Callable[..., None], *call: object) -> str:
    """Return why a service refuses, or nothing.

    What a step returns is recorded and what it raises is not: so a refusal stays one if the job is killed while it undoes
    the rest, and an outage is tried again.
    """
    try:
        do(*call)
    except Refused as refusal:
        return str(refusal)
    return ""
