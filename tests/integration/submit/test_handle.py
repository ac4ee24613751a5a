"""What handles and lists say of a job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from msgspec.structs import replace

from perdure import InvalidArguments, JobCancelled, JobContext, JobDead, Perdure, Task, UnknownTask
from perdure.errors import JobNotFinished, JobNotFound
from perdure.model.events import JobEvent
from support.ledgers import DIE, RETRY, SUCCEED, claimed
from support.submits import Order, Size, bells, finish


def test_waiting_for_a_result(app: Perdure, add: Task[..., int]) -> None:
    handle = add.submit(3, 4)
    with pytest.raises(TimeoutError, match=f"job {handle.id} is queued after 0.05 s"):
        handle.wait(timeout=0.05)
    with pytest.raises(JobNotFinished, match="is queued"):
        handle.result()
    finish(app, handle.id)
    assert handle.wait() == handle.result() == app.jobs.get(handle.id).wait(timeout=0) == 7
    assert [attempt.outcome for attempt in handle.attempts()] == ["succeeded"]


def test_a_result_comes_back_as_its_annotation_says(app: Perdure) -> None:
    @app.job(name="tests.order")
    def order() -> Order: ...  # type: ignore[empty-body]

    handle = order.submit()

    value = Order(UUID(int=7), datetime(2026, 1, 2, tzinfo=UTC), Decimal("1.10"), Size.SMALL)
    finish(app, handle.id, replace(SUCCEED, result=order.signature.encode_result(value)))
    assert handle.result() == value


def test_a_result_that_does_not_fit_its_annotation_is_given_as_it_is(app: Perdure) -> None:
    @app.job(name="tests.wrong")
    def wrong() -> int: ...  # type: ignore[empty-body]

    handle = wrong.submit()

    finish(app, handle.id, replace(SUCCEED, result='"seven"'))
    assert handle.result() == "seven"  # type: ignore[comparison-overlap]


def test_waiting_for_a_job_that_dies(app: Perdure, add: Task[..., int]) -> None:
    handle = add.submit(1)
    finish(app, handle.id, DIE)
    with pytest.raises(JobDead, match=f"tests.add {handle.id}: ValueError: no") as dead:
        handle.wait(timeout=5)
    [letter] = app.dead_letters.list()
    assert (dead.value.dead_letter_id, dead.value.job_id) == (letter.id, handle.id)
    assert (handle.state, handle.error) == ("dead", "no")


def test_cancelling(app: Perdure, add: Task[..., int]) -> None:
    handle = add.submit(1)
    events: list[JobEvent] = []
    app.events.subscribe(events.append)
    assert handle.cancel("no more")
    assert not handle.cancel()
    with pytest.raises(JobCancelled):
        handle.wait(timeout=5)
    [cancelled] = events
    assert (cancelled.source, cancelled.target, cancelled.reason) == ("queued", "cancelled", "no more")
    with pytest.raises(JobNotFound):
        app.jobs.cancel("nobody")


def test_what_a_handle_shows_of_a_job_under_way(app: Perdure, add: Task[..., int]) -> None:
    handle = add.submit(1)
    assert handle.progress is None
    claim = claimed(app.ledger, handle.id)
    JobContext(claim, app.ledger).progress(1, 4, "files")
    progress = handle.progress
    assert progress is not None
    assert (progress.done, progress.total, progress.message) == (1, 4, "files")
    app.ledger.jobs.settle(claim, RETRY)
    assert (handle.state, handle.error) == ("retrying", "no")


def test_listing_and_counting(app: Perdure, add: Task[..., int]) -> None:
    handles = add.options(tags={"tenant": "a"}).submit_many([(n,) for n in range(3)])
    other = add.options(bulkhead="critical").submit(9)
    assert [handle.id for handle in app.jobs.list(limit=1)] == [other.id]
    assert {handle.id for handle in app.jobs.list(tag=("tenant", "a"))} == {handle.id for handle in handles}
    assert len(app.jobs.list(state="queued", task="tests.add", since=datetime.now(UTC) - timedelta(minutes=1))) == 4
    assert app.jobs.count(by="bulkhead") == {"normal": 3, "critical": 1}
    assert app.jobs.count(by="bulkhead", tag="tenant=a", since=datetime.now(UTC) - timedelta(minutes=1)) == {"normal": 3}
    assert app.jobs.count(until=datetime.now(UTC) - timedelta(minutes=1)) == {}
    with pytest.raises(InvalidArguments, match=r"jobs are not found by .bulkhed.. Did you mean .bulkhead."):
        app.jobs.count(bulkhed="normal")  # type: ignore[call-arg]
    with pytest.raises(InvalidArguments, match=r"'queud' is no job state. Did you mean 'queued'\?"):
        app.jobs.list(state="queud")
    with pytest.raises(InvalidArguments, match="NAME=VALUE"):
        app.jobs.list(tag="tenant")
    with pytest.raises(InvalidArguments, match="Allowed: state, task, bulkhead"):
        app.jobs.count(by="colour")


def test_replaying_a_dead_letter(app: Perdure, add: Task[..., int]) -> None:
    first = add.submit(1, b=2)
    finish(app, first.id, DIE)
    [letter] = app.dead_letters.list(error="ValueError")
    with pytest.raises(InvalidArguments, match="argument 'a'"):
        app.dead_letters.replay(letter.id, args=["one"])
    assert app.dead_letters.get(letter.id).status == "open"
    again = app.dead_letters.replay(letter.id, args=[5], by="ann")
    assert (again.record.args, again.record.kwargs, again.record.replay_of) == ([5], {"b": 2}, first.id)
    assert bells(app) == {"normal": 2}
    assert app.dead_letters.replay(letter.id).id == again.id
    forced = app.dead_letters.replay(letter.id, force=True)
    assert (forced.record.args, forced.deduplicated) == ([1], False)
    letter = app.dead_letters.get(letter.id)
    assert (letter.status, letter.replayed_as, letter.replayed_by) == ("replayed", forced.id, "python")


def test_a_letter_of_an_unknown_task_or_a_message_cannot_be_replayed(app: Perdure, add: Task[..., int]) -> None:
    handle = add.submit(1)
    finish(app, handle.id, DIE)
    [letter] = app.dead_letters.list()
    del app.tasks["tests.add"]
    with pytest.raises(UnknownTask):
        app.dead_letters.replay(letter.id)
