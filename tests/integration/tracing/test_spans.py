"""A job's trace: its submit, its attempts, and what they call, with the names of OpenTelemetry's conventions."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Annotated, Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import func, select

from integration.tracing.conftest import Spans
from perdure import Discard, JobContext, Perdure, RetryPolicy, Secret, Snooze
from perdure.ledger.schema import dead_letter_tags, job_tags
from perdure.stores.encryption.cipher import KeyRing
from perdure_workers import logs
from support.inline import run, run_once

SECRET = "hunter2-4711"


def is_child(child: ReadableSpan, of: ReadableSpan) -> bool:
    return child.parent is not None and child.parent.span_id == of.context.span_id and trace_of(child) == trace_of(of)


def trace_of(span: ReadableSpan) -> str:
    return f"{span.context.trace_id:032x}"


def test_an_attempt_is_a_child_of_its_submit_and_that_of_who_submitted(app: Perdure, spans: Spans) -> None:
    job_of = app.register(lambda n: n, name="double", bulkhead="critical").submit
    with trace.get_tracer("shop").start_as_current_span("checkout"):
        job = job_of(1)
    run(app, job)
    outer, sent, processed = spans.one("checkout"), spans.one("submit double"), spans.one("process double")
    assert is_child(sent, outer)
    assert is_child(processed, sent)
    assert (sent.kind, processed.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert dict(sent.attributes or {}) == {
        "messaging.system": "perdure", "messaging.operation.name": "submit", "messaging.operation.type": "send",
        "messaging.destination.name": "critical", "messaging.message.id": job.id, "perdure.task": "double",
    }  # fmt: skip
    assert dict(processed.attributes or {}) == {
        "messaging.system": "perdure", "messaging.operation.name": "process", "messaging.operation.type": "process",
        "messaging.destination.name": "critical", "messaging.message.id": job.id, "messaging.client.id": "inline",
        "perdure.task": "double", "perdure.attempt": 1, "perdure.outcome": "succeeded",
    }  # fmt: skip


def test_a_job_that_a_transaction_on_the_ledger_submits_belongs_to_its_trace(app: Perdure, spans: Spans) -> None:
    double = app.register(lambda n: n, name="double")
    with trace.get_tracer("shop").start_as_current_span("checkout"), app.ledger.transaction() as connection:
        app.submitter.submit_within(connection, double, [(1,)])
    [job] = app.jobs.list(task="double")
    run(app, job)
    outer, sent, processed = spans.one("checkout"), spans.one("submit double"), spans.one("process double")
    assert is_child(sent, outer)
    assert is_child(processed, sent)


def test_many_jobs_are_one_submit(app: Perdure, spans: Spans) -> None:
    jobs = app.register(lambda n: n, name="double").submit_many([1, 2, 3])
    for job in jobs:
        run(app, job)
    sent = spans.one("submit double")
    assert (sent.attributes or {})["messaging.batch.message_count"] == 3
    assert len(spans.named("process double")) == 3
    assert all(is_child(one, sent) for one in spans.named("process double"))


def test_each_attempt_says_how_it_ended_without_secrets(app: Perdure, spans: Spans) -> None:
    def charge(ctx: JobContext, card: Annotated[str, Secret]) -> None:
        if ctx.claim.fence == 1:
            raise Snooze(0.01)
        raise ValueError(f"{card} refused")

    job = app.register(charge, name="charge", retry=RetryPolicy(max_retries=1, base=0.01)).submit(SECRET)
    run(app, job)
    tries = spans.named("process charge")
    assert [(span.attributes or {})["perdure.outcome"] for span in tries] == ["snoozed", "failed", "failed"]
    assert [span.status.status_code for span in tries] == [StatusCode.UNSET, StatusCode.ERROR, StatusCode.ERROR]
    assert {trace_of(span) for span in tries} == {trace_of(spans.one("submit charge"))}
    assert (tries[1].attributes or {})["error.type"] == "ValueError"
    [told] = tries[1].events
    assert (told.name, (told.attributes or {})["exception.message"]) == ("exception", "*** refused")
    assert "in charge" in str((told.attributes or {})["exception.stacktrace"])
    assert SECRET not in "".join(span.to_json() for span in spans.all())


def test_errors_that_are_encrypted_at_rest_are_in_no_trace(migrated_url: str, redis_url: str, spans: Spans) -> None:
    app = Perdure(ledger_url=migrated_url, broker_url=redis_url, encryption_keys=KeyRing.generate("k1"))

    def fails() -> None:
        raise ValueError("private")

    run(app, app.register(fails, name="fails", retry="none").submit())
    assert (spans.one("process fails").attributes or {})["error.type"] == "ValueError"
    assert "private" not in spans.one("process fails").to_json()
    app.close()


def test_what_an_attempt_does_is_within_it(app: Perdure, spans: Spans) -> None:
    prices = app.service("prices", default=0)
    answers: Iterator[Any] = iter([ConnectionError(), 7, ConnectionError(), 8])

    def ask() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return int(answer)

    def work(ctx: JobContext) -> int:
        return prices.call(ask) + ctx.step("ask", ask, retry="fast")

    job = app.register(work, name="work").submit()
    run(app, job)
    assert job.result() == 15
    [called], [step], attempt = spans.named("call prices"), spans.named("step ask"), spans.one("process work")
    assert is_child(called, attempt)
    assert is_child(step, attempt)
    assert (called.kind, (called.attributes or {})["perdure.served_by"]) == (SpanKind.CLIENT, "primary")
    tries = spans.named("try")
    assert [(one.attributes or {})["perdure.try"] for one in tries] == [1, 2, 1, 2]
    assert [is_child(one, called) for one in tries] == [True, True, False, False]
    assert [is_child(one, step) for one in tries] == [False, False, True, True]
    assert [one.status.status_code for one in tries] == [StatusCode.ERROR, StatusCode.UNSET] * 2


def test_asynchronous_jobs_and_what_jobs_submit(app: Perdure, spans: Spans) -> None:
    prices = app.service("prices")
    inner = app.register(lambda: None, name="inner")
    submitted = []

    async def answer() -> int:
        return 1

    async def outer() -> None:
        await prices.call_async(answer)
        submitted.append(inner.submit())

    run(app, app.register(outer, name="outer").submit())
    run(app, submitted[0])
    attempt = spans.one("process outer")
    assert is_child(spans.one("call prices"), attempt)
    assert is_child(spans.one("submit inner"), attempt)
    assert trace_of(spans.one("process inner")) == trace_of(spans.one("submit outer"))


def test_a_replay_is_a_trace_of_its_own_with_a_link_to_the_one_that_died(app: Perdure, spans: Spans) -> None:
    def dies(ctx: JobContext) -> None:
        if ctx.claim.replay_of is None:
            raise Discard("no")

    job = app.register(dies, name="dies").options(tags={"tenant": "a"}).submit()
    run(app, job)
    [letter] = app.dead_letters.list()
    again = app.dead_letters.replay(letter.id)
    run(app, again)
    died, sent = spans.named("submit dies")
    attempt = spans.named("process dies")[1]
    assert is_child(attempt, sent)
    assert trace_of(sent) != trace_of(died)
    [link] = attempt.links
    assert link.context.span_id == died.context.span_id
    assert (attempt.attributes or {})["perdure.replay_of"] == job.id
    assert again.record.tags["tenant"] == "a"


def test_a_job_that_never_began_leaves_no_span(app: Perdure, spans: Spans) -> None:
    app.breakers["dep"].force_open()
    job = app.register(lambda: None, name="guarded", breaker="dep").submit()
    run_once(app, job)
    assert spans.named("process guarded") == []


def test_a_context_that_comes_as_a_tag_is_kept(app: Perdure, spans: Spans) -> None:
    given = f"00-{'ab' * 16}-{'cd' * 8}-01"
    job = app.register(lambda: None, name="far").options(tags={"traceparent": given}).submit()
    run(app, job)
    assert trace_of(spans.one("process far")) == "ab" * 16
    assert job.record.tags["traceparent"] == given


def test_contexts_are_in_no_index_and_cost_no_statement(app: Perdure, spans: Spans) -> None:
    def dies() -> None:
        raise Discard("no")

    run(app, app.register(dies, name="dies").submit())
    for table in (job_tags, dead_letter_tags):
        assert app.ledger.read(lambda c, t=table: c.scalar(select(func.count()).select_from(t))) == 0


def test_lines_of_a_job_say_its_trace(app: Perdure, spans: Spans) -> None:
    seen: list[Any] = []

    def talk() -> None:
        record = logging.LogRecord("x", 20, "f", 1, "m", (), None)
        seen.append(logs.context_of(record)["trace_id"])

    run(app, app.register(talk, name="talk").submit())
    assert seen == [trace_of(spans.one("submit talk"))]
