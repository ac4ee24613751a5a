"""The application that tests of Flower's pages show."""

from __future__ import annotations

import time

from perdure import Discard, JobContext, Perdure, RetryPolicy
from perdure.ledger.jobs.notes import NoteKind
from perdure.resilience import Member

app = Perdure()
app.failover.add("mail", [Member("eu", "eu.example"), Member("us", "us.example")])


app.slo("paying", task="site.pay", within=30, target=0.999)
app.primary_backup("stock", {"eu": {}, "us": {}}, lambda service, value: value)


@app.job(name="site.pay", retry="none")
def pay(order: str, password: str = "") -> str:
    return order


@app.job(name="site.divide", retry="none", breaker="site")
def divide(a: int, b: int) -> float:
    return a / b


@app.job(name="site.refuse", retry="none")
def refuse(order: str, password: str = "") -> None:
    raise ValueError(f"{order} is refused")


@app.job(name="site.give-up", retry="none")
def give_up(order: str) -> None:
    raise Discard(f"{order} is no order")


@app.job(name="site." + ".".join(["a_task_with_a_long_name"] * 4), retry="none")
def long_name(order: str) -> None:
    raise ValueError(order * 40)


@app.job(name="site.steps", retry="none")
def steps(ctx: JobContext, order: str) -> str:
    ctx.step("quote", len, order)
    ctx.checkpoint.save({"order": order})
    ctx.note(NoteKind.CHECKPOINT_DAMAGED, "seq 9 is damaged")
    ctx.progress(1, 2, "half")
    ctx.step("mail", str, order)
    ctx.progress(2, 2, "done")
    return "ended"


@app.job(name="site.talk", retry="none")
def talk(ctx: JobContext, lines: int) -> None:
    for number in range(lines):
        ctx.log.info("line %d", number)
    while True:  # until it is cancelled
        ctx.log.info("more")
        ctx.checkpoint.save({})
        time.sleep(0.2)


@app.job(name="site.flaky", retry=RetryPolicy(max_retries=3, base=3600.0, max_delay=3600.0, jitter=False))
def flaky(ctx: JobContext, fails: int) -> int:
    if ctx.attempt <= fails:
        raise ConnectionError("not yet")
    return ctx.attempt


@app.periodic(cron="30 2 * * *")
@app.periodic(every=3600, name="hourly", kwargs={"what": "cache"}, jitter=5)
@app.job(name="site.nightly")
def nightly(what: str = "all") -> str:
    return f"{what} swept"
