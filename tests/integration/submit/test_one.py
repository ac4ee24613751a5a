"""Submitting one job: what is written, and which bells ring."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import redis

from perdure import IdempotencyConflict, Perdure, Task
from perdure.model.events import JobEvent
from support.ledgers import claimed, claimer
from support.submits import Order, Size, bells, finish
from support.waiting import wait_until


def test_a_submit_writes_the_job_and_rings_a_bell(app: Perdure, add: Task[..., int]) -> None:
    handle = add.submit(1, b=2)
    assert (handle.state, handle.deduplicated) == ("queued", False)
    assert (handle.record.args, handle.record.kwargs) == ([1], {"b": 2})
    assert bells(app) == {"normal": 1}


def test_a_bell_names_no_job_and_carries_no_arguments(app: Perdure, add: Task[..., int]) -> None:
    handle = add.options(tags={"tenant": "4711"}).submit(4711)
    with redis.Redis.from_url(app.settings.effective_broker_url) as client:
        [raw] = client.lrange("perdure.normal", 0, -1)
    assert handle.id.encode() not in raw
    message = json.loads(raw)
    args, kwargs, _ = json.loads(base64.b64decode(message["body"]))
    assert (args, kwargs) == ([], {})
    assert message["headers"]["task"] == "perdure.bell"
    assert "4711" not in json.dumps(message["headers"])


def test_celery_s_names_work(app: Perdure, add: Task[..., int]) -> None:
    now = add.delay(1, b=2)
    plain = add.apply_async((1,), {"b": 2}, priority=0, queue="perdure.critical")
    named = add.apply_async([1], queue="background", idempotency_key="k")
    later = add.apply_async((1,), countdown=60)
    at = add.apply_async((1,), eta=datetime.now(UTC) + timedelta(hours=1))
    assert [handle.state for handle in (now, plain, named, later, at)] == ["queued"] * 3 + ["scheduled"] * 2
    assert [(handle.bulkhead, handle.record.priority) for handle in (now, plain, named)] == [
        ("normal", 5),
        ("critical", 0),
        ("background", 5),
    ]
    assert bells(app) == {"normal": 1, "critical": 1, "background": 1}
    assert add.options(priority=3).delay(1).record.priority == 3


def test_options(app: Perdure, add: Task[..., int]) -> None:
    how = add.options(tags={"tenant": "a"}, priority=9, bulkhead="critical", timeout=7.5)
    handle = how.options(idempotency_key="k").submit(1)
    assert (handle.record.tags, handle.record.priority, handle.bulkhead) == ({"tenant": "a"}, 9, "critical")
    assert handle.record.idempotency_key == "k"
    assert how.submit(1).id != handle.id
    assert bells(app) == {"critical": 2}


@pytest.mark.parametrize("when", [{"delay": 0.05}, {"run_at": "soon"}, {"run_at": "before"}, {"delay": 1e-9}])
def test_a_job_for_later_is_queued_when_its_time_has_come(app: Perdure, add: Task[..., int], when: dict[str, Any]) -> None:
    moments = {"soon": timedelta(milliseconds=50), "before": timedelta(days=-1)}
    if "run_at" in when:
        when = {"run_at": datetime.now(UTC) + moments[when["run_at"]]}
    handle = add.options(**when).submit(1)
    wait_until(lambda: handle.state == "queued")
    assert [claim.job_id for claim in app.ledger.jobs.claim(claimer(app.ledger), 5)] == [handle.id]


def test_a_bell_is_rung_for_what_is_due_before_workers_look_by_themselves(app: Perdure, add: Task[..., int]) -> None:
    add.options(delay=3600).submit(1)
    add.options(run_at=datetime.now(UTC) + timedelta(hours=1)).submit(1)
    assert bells(app) == {}
    add.options(delay=0.1).submit(1)
    assert bells(app) == {"normal": 1}


def test_a_naive_run_at_is_local_time(app: Perdure, add: Task[..., int]) -> None:
    moment = datetime.now() + timedelta(hours=1)
    record = add.options(run_at=moment).submit(1).record
    assert record.run_at is not None
    assert abs(record.run_at.timestamp() - moment.timestamp()) < 0.01


def test_values_come_to_the_worker_as_they_were(app: Perdure) -> None:
    @app.job
    def buy(order: Order, extra: Any) -> Order:  # type: ignore[no-untyped-def]
        return order

    order = Order(UUID(int=7), datetime(2026, 1, 2, tzinfo=UTC), Decimal("1.10"), Size.SMALL)
    handle = buy.submit(order, {"when": timedelta(days=1), "ids": {UUID(int=1)}})
    claim = claimed(app.ledger, handle.id)
    args, kwargs = buy.signature.decode(claim.args, claim.kwargs)
    assert (args, kwargs) == ([order, {"when": timedelta(days=1), "ids": {UUID(int=1)}}], {})


def test_events_tell_of_each_submit(app: Perdure, add: Task[..., int]) -> None:
    events: list[JobEvent] = []
    app.events.subscribe(events.append)
    first = add.options(idempotency_key="k").submit(1)
    add.options(idempotency_key="k").submit(1)
    later = add.options(delay=60).submit(1)
    assert [(event.job_id, event.source, event.target) for event in events] == [
        (first.id, None, "queued"),
        (later.id, None, "scheduled"),
    ]


def test_a_key_makes_one_job_and_rings_once(app: Perdure, add: Task[..., int]) -> None:
    first = add.options(idempotency_key="k").submit(1, 2)
    again = add.options(idempotency_key="k").submit(b=2, a=1)
    assert (again.id, again.deduplicated, first.deduplicated) == (first.id, True, False)
    assert bells(app) == {"normal": 1}
    with pytest.raises(IdempotencyConflict):
        add.options(idempotency_key="k").submit(1, 3)
    finish(app, first.id)
    assert add.options(idempotency_key="k").submit(1, 2).wait(1) == 7
