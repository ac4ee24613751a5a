"""The application of the documentation's pictures: a shop. Its code says that it stands where a shop's would."""

from __future__ import annotations

import linecache

#: Where tracebacks say that the code is, and not where this machine has it.
FILE = "/srv/shop/orders.py"
SOURCE = """\
import time

from perdure import JobContext, Perdure, RetryPolicy

app = Perdure()


class CardDeclined(Exception):
    pass


@app.job(name="shop.charge", bulkhead="critical", breaker="payments", retry="none")
def charge(ctx: JobContext, order: str, cents: int) -> dict[str, object]:
    ctx.log.info("charging %d cents", cents)
    time.sleep(cents / 20_000)
    if cents > 9_000:
        ctx.log.warning("the bank answers: over the limit")
        raise CardDeclined(f"order {order}: {cents} cents are over the card's limit")
    return {"order": order, "charged": cents}


@app.job(name="shop.mail", retry=RetryPolicy(max_retries=3, base=1.0, max_delay=1.0, jitter=False))
def mail(ctx: JobContext, order: str) -> str:
    if ctx.attempt == 1 and order.endswith("7"):
        raise ConnectionError("the mail server does not answer")
    return f"{order} mailed"


@app.job(name="shop.import", bulkhead="background")
def import_orders(ctx: JobContext, rows: int) -> int:
    state = ctx.checkpoint.load(default={"row": 0})
    for row in range(state["row"], rows):
        if row % 100 == 0:
            ctx.checkpoint.save({"row": row})
            ctx.progress(row, rows, "orders imported")
            if row % 500 == 0:
                ctx.log.info("%d orders imported, %d rejected", row, row // 400)
            time.sleep(0.2)
    ctx.progress(rows, rows, "orders imported")
    return rows


@app.periodic(cron="30 2 * * *")
@app.job(name="shop.sweep")
def sweep() -> str:
    return "swept"


@app.periodic(every=300)
@app.job(name="shop.report")
def report() -> str:
    return "reported"
"""

linecache.cache[FILE] = (len(SOURCE), None, SOURCE.splitlines(keepends=True), FILE)
exec(compile(SOURCE, FILE, "exec"))  # noqa: S102 - this file's own text
