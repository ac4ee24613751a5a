"""The same project with one task adopted, the one that must not be lost.

What changed: the decorator, ``self`` is ``ctx`` and has an idempotency key, and the retry policy is one option. The task
keeps its name, and its callers keep ``delay`` and ``apply_async``.
"""

from __future__ import annotations

from pathlib import Path

from before import thumbnail

from perdure import JobContext, Perdure, RetryPolicy

app = Perdure()


@app.job(name="shop.charge", retry=RetryPolicy(max_retries=5, base=60, max_delay=60, jitter=False))
def charge(ctx: JobContext, order: str, cents: int) -> None:
    """Charge an order; then have Celery make a small picture, which may be lost."""
    with Path("charged").open("a") as file:
        file.write(f"{order} {cents} {ctx.idempotency_key}\n")
    thumbnail.delay(f"{order}.png")
