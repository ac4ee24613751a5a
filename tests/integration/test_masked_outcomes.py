"""What a worker records and publishes of a job holds none of its secrets, but for what the program itself gets back."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import pytest
from sqlalchemy import select

from perdure import Discard, JobHandle, Perdure, Secret
from perdure.ledger.schema import metadata
from perdure.stores.encryption.cipher import KeyRing
from perdure_workers.logs import FORMAT, SafeFormatter
from perdure_workers.worker.execute import Attempt, Executor
from perdure_workers.worker.job_events import JobEvents
from support.ledgers import claimed

SECRET = "hunter2-4711"


@pytest.fixture(params=[False, True], ids=["plain", "sealed"])
def app(migrated_url: str, redis_url: str, request: pytest.FixtureRequest) -> Iterator[Perdure]:
    keys = KeyRing.generate("k1") if request.param else None
    app = Perdure(ledger_url=migrated_url, broker_url=redis_url, encryption_keys=keys)

    @app.job(name="pay", retry="none")
    def pay(card: Annotated[str, Secret], how: str) -> Any:
        def charge(number: str) -> None:
            raise (Discard if how == "discard" else ValueError)(f"card {number!r} refused")

        logging.getLogger("shop").warning("charging %s", card)
        if how != "pay":
            charge(card)
        return {"echo": f"paid by {card}"}

    yield app
    app.close()


def ran(app: Perdure, job: JobHandle[Any]) -> tuple[Attempt, dict[str, Any]]:
    """Run a job as a worker's child does; return its attempt and the last event that tells of it."""
    claim = claimed(app.ledger, job.id)
    executor, events = Executor(app, lambda: False, lambda _task: None), JobEvents(app, "w")
    events.began(claim)
    attempt = executor(claim, lambda _claim, _limit: None)
    app.ledger.jobs.settle(claim, attempt.settlement)
    events.ended(claim, attempt.settlement)
    executor.close()
    assert SECRET not in msgspec.json.encode(events._waiting).decode()
    return attempt, events._waiting[-1]


@pytest.mark.parametrize("how", ["fail", "discard"])
def test_errors_and_tracebacks(app: Perdure, how: str) -> None:
    job = app.task("pay").submit(SECRET, how)
    attempt, event = ran(app, job)
    assert attempt.settlement.error == "card '***' refused"
    assert "in charge" in (attempt.settlement.traceback or "")
    assert event["type"] == "task-failed"
    assert ("***" in event["exception"]) != app.ledger.vault.seals
    for table in metadata.sorted_tables:
        rows = app.ledger.read(lambda c, table=table: [dict(row._mapping) for row in c.execute(select(table))])
        for row in rows:
            kept = {name: value for name, value in row.items() if name not in ("args", "kwargs")}
            assert SECRET not in repr(kept), table.name
    letter = app.dead_letters.list()[0]
    assert (letter.args, letter.error) == ([SECRET, how], "card '***' refused")


def test_logs(app: Perdure) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(SafeFormatter(FORMAT))
    shop = logging.getLogger("shop")
    shop.addHandler(handler)
    try:
        ran(app, app.task("pay").submit(SECRET, "pay"))
        try:
            raise ValueError(SECRET)
        except ValueError:
            shop.exception("%s went on", SECRET)
        ran(app, app.task("pay").submit("another-secret", "pay"))
        shop.warning("%s is of an earlier job", SECRET)
    finally:
        shop.removeHandler(handler)
    *during, after = stream.getvalue().splitlines()
    assert "shop: charging *** [job=" in during[0]
    assert during[1].endswith("shop: *** went on")
    assert SECRET not in "".join(during)
    assert "another-secret" not in "".join(during)
    assert SECRET in after


def test_a_result_is_the_programs_own_and_is_shown_masked(app: Perdure) -> None:
    job = app.task("pay").submit(SECRET, "pay")
    _, event = ran(app, job)
    assert job.result() == {"echo": f"paid by {SECRET}"}
    assert event["result"] == ("(encrypted)" if app.ledger.vault.seals else '{"echo":"paid by ***"}')
