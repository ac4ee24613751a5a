"""What users write, as type checkers see it: every line is right, but for those that say what is wrong with them."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, assert_type

from perdure import AsyncTask, AutoReplay, JobContext, JobHandle, Perdure, RetryPolicy, Secret, Task
from perdure.stores.sources.lines import TextLines

app = Perdure(ledger_url="sqlite:///x.db", bulkheads={"critical": {"concurrency": 4}}, max_crashes=3)
Perdure(max_crahes=3)  # wrong: no such setting
Perdure(max_crashes="many")  # wrong: another type


@app.job
def bare(order_id: str, cents: int) -> dict[str, int]:
    return {order_id: cents}


@app.job(name="charge", bulkhead="critical", retry="fast", timeout=30, breaker="payments", auto_replay=AutoReplay())
def charge(ctx: JobContext, card: Annotated[str, Secret], cents: int = 5) -> int:
    return cents


@app.job(retry=RetryPolicy(max_retries=5, base=1, max_delay=60), priority=2)
async def fetch(url: str) -> bytes:
    return url.encode()


@app.job
async def with_context(ctx: JobContext, url: str) -> list[str]:
    return [url]


@app.job(bulkhed="critical")  # wrong: no such option
def misspelt() -> None: ...


@app.job(timeout="30 s")  # wrong: another type
def of_another_type() -> None: ...


@app.periodic(every=30, bulkhead="background")
def tidy() -> int:
    return 1


@app.periodic(cron="*/5 * * * *")
@app.job(name="report")
async def report() -> str:
    return ""


@app.periodic(evry=30)  # wrong: no such option
def never() -> None: ...


def submits() -> None:
    task: Task[[str, int], dict[str, int]] = bare
    assert_type(task("o-1", 5), dict[str, int])
    assert_type(bare.submit("o-1", 5).wait(), dict[str, int])
    assert_type(charge.submit("4111", cents=7), JobHandle[int])
    assert_type(charge.options(delay=5, tags={"tenant": "a"}).options(priority=1).submit("4111").result(), int)
    assert_type(charge.apply_async(("4111",), countdown=5, idempotency_key="k").wait(5), int)
    assert_type([job.wait() for job in charge.submit_many([("4111", 1)])], list[int])
    charge.submit_many([("4111", 1), charge.options(idempotency_key="o-1", priority=0).call("4111", 2)])
    assert_type(tidy.submit().wait(), int)
    bare.submit("o-1")  # wrong: an argument is missing
    bare.submit("o-1", "5")  # wrong: another type
    charge.submit(card="4111", pin=5)  # wrong: no such argument
    charge.options(dely=5)  # wrong: no such option
    charge.options(run_at="tomorrow")  # wrong: another type
    charge.options(run_at=datetime.now(), dedline=datetime.now())  # wrong: no such option
    charge.apply_async((), etta=datetime.now())  # wrong: no such option


async def of_coroutines() -> None:
    known: AsyncTask[[str], bytes] = fetch
    assert_type(known.submit("u").wait(), bytes)
    assert_type(fetch.submit("u").wait(), bytes)
    assert_type(with_context.submit("u").wait(), list[str])
    assert_type(report.submit().result(), str)
    assert_type(await fetch("u"), bytes)
    fetch.submit(5)  # wrong: another type
    task: Task[[str], bytes] = fetch
    task.submit("u")


def pages(after: Any) -> Iterator[tuple[bytes, int]]:
    yield b"", 1


def lines() -> Iterator[float]:
    yield 1.0


def loops(ctx: JobContext) -> None:
    for text in ctx.iterate(["a", "b"], every=10):
        assert_type(text, str)
    for number in ctx.iterate(range(10)):
        assert_type(number, int)
    for key, value in ctx.iterate({"a": 1}):
        assert_type((key, value), tuple[str, int])
    for line in ctx.iterate(TextLines("x.csv"), seconds=2):
        assert_type(line, str)
    for item in ctx.iterate(lines):
        assert_type(item, float)
    for page in ctx.iterate(pages):
        assert_type(page, bytes)
    loop = ctx.iterate([1, 2])
    loop.save()
    ctx.iterate(5)  # wrong: no source
    assert_type(ctx.step("quote", bare, "o-1", 5), dict[str, int])
