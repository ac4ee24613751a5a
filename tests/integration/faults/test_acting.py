"""Every kind of fault acts on every target, in the code that applications run."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from perdure import JobContext, Perdure, faults
from perdure.errors import LedgerUnavailable
from perdure.faults import FaultEvent
from perdure.ledger.schema import bulkheads
from perdure.resilience import OperationTimeout
from perdure_workers.supervisor.duties.duty import Duty
from perdure_workers.supervisor.supervisor import Supervisor
from support.inline import run_once
from support.ledgers import SUCCEED, claimed, claimer, submitted

pytestmark = pytest.mark.slow

DELAY = 0.06


@pytest.fixture
def struck(app: Perdure) -> list[str]:
    """The kinds of the faults that struck, in order. What hangs is let go after a while."""
    seen: list[str] = []

    def hear(event: FaultEvent) -> None:
        if event.what == "struck":
            seen.append(event.fault.kind)
            if event.fault.kind == "hang":
                threading.Timer(DELAY, app.faults.clear).start()

    app.faults.listen(hear)
    return seen


def outcome(work: Callable[[], Any]) -> Any:
    """What work returns or raises, as what can be compared; ``late`` when it waited."""
    began = time.monotonic()
    try:
        value = work()
    except Exception as error:
        return type(error).__name__
    return "late" if value == "done" and time.monotonic() - began >= DELAY else value


OF_CODE = [
    ("latency", {"delay": DELAY}, "late"),
    ("hang", {}, "late"),
    ("error", {}, "InjectedFault"),
    ("exception", {"exception": "ZeroDivisionError"}, "ZeroDivisionError"),
    ("wrong_result", {"result": 7}, 7),
]


@pytest.mark.parametrize(("kind", "options", "expected"), OF_CODE)
def test_a_call_of_a_service(app: Perdure, struck: list[str], kind: str, options: Any, expected: Any) -> None:
    service = app.service("mail")

    async def done() -> str:
        return "done"

    with faults.inject(kind, "service:mail", **options):
        assert outcome(lambda: service.call(lambda: "done")) == expected
    assert app.service("other").call(lambda: "done") == "done"

    async def main() -> Any:
        async with faults.inject(kind, "service:mail", **options):
            return await service.call_async(done)

    assert outcome(lambda: asyncio.run(main())) == expected
    assert set(struck) == {kind}
    assert service.call(lambda: "done") == "done"


def test_a_call_that_hangs_is_given_up_after_its_time_limit(app: Perdure) -> None:
    service = app.service("slow")

    async def done() -> str:
        return "done"

    with faults.inject("hang", "service:slow"):
        with pytest.raises(OperationTimeout):
            service.call(lambda: "done")
        with pytest.raises(OperationTimeout):
            asyncio.run(service.call_async(done))


@pytest.mark.parametrize("target", ["task:work", "bulkhead:normal"])
@pytest.mark.parametrize(("kind", "options", "expected"), OF_CODE)
def test_a_job(app: Perdure, struck: list[str], kind: str, options: Any, expected: Any, target: str) -> None:
    @app.job(name="work", retry="none")
    async def work() -> Any:
        return "done"

    job, other = work.submit(), work.submit()

    def result() -> Any:
        run_once(app, job)
        failed = job.refresh().record.error_type
        return failed.rpartition(".")[2] if failed else job.result()

    with faults.inject(kind, target, **options):
        assert outcome(result) == expected
    assert struck == [kind]
    assert run_once(app, other) == "succeeded"


@pytest.mark.parametrize("target", ["task:work", "bulkhead:normal"])
@pytest.mark.parametrize(("kind", "options", "expected"), OF_CODE)
def test_a_step(app: Perdure, struck: list[str], kind: str, options: Any, expected: Any, target: str) -> None:
    @app.job(name="work", retry="none")
    def work(ctx: JobContext) -> Any:
        return outcome(lambda: ctx.step("one", lambda: "done", retry="none"))

    job = work.submit()
    with faults.inject(kind, target, at="step", **options):
        run_once(app, job)
    assert job.result() == expected
    assert struck == [kind]


class Nothing(Duty):
    name = "nothing"
    period = 3600.0  # type: ignore[assignment]

    def run_once(self) -> int:
        return 0


@pytest.mark.parametrize(("kind", "options", "expected"), OF_CODE[:-1])
def test_a_duty(app: Perdure, struck: list[str], kind: str, options: Any, expected: Any) -> None:
    supervisor, duty = Supervisor([], app.tally), Nothing(app)
    with faults.inject(kind, "duty:nothing", **options):
        assert supervisor._run_once(duty) == (0, "done" if expected == "late" else "failed")
    assert struck == [kind]


OF_A_STORE = [("latency", {"delay": DELAY}), ("hang", {}), ("broken_store", {})]


@pytest.mark.parametrize(("kind", "options"), OF_A_STORE)
def test_the_ledger(app: Perdure, struck: list[str], kind: str, options: Any) -> None:
    with faults.inject(kind, "store:ledger", **options):
        found = outcome(lambda: app.ledger.jobs.count("state") or "done")
    assert found == ("LedgerUnavailable" if kind == "broken_store" else "late")
    assert set(struck) == {kind}
    assert app.ledger.jobs.count("state") == {}


@pytest.mark.parametrize("target", ["store:ledger", "bulkhead:normal"])
def test_a_claim_whose_answer_is_lost_is_found_by_the_next_one(app: Perdure, struck: list[str], target: str) -> None:
    job = submitted(app.ledger)
    by = claimer(app.ledger)
    with faults.inject("lost_answer", target, at="claim"), pytest.raises(LedgerUnavailable, match="the answer is lost"):
        app.ledger.jobs.claim(by, 1)
    assert struck == ["lost_answer"] * 2  # it is asked once more, on another connection
    assert app.ledger.jobs.get(job).state == "running"
    assert [claim.job_id for claim in app.ledger.jobs.claim(by, 1, in_doubt=True)] == [job]


@pytest.mark.parametrize("target", ["store:ledger", "bulkhead:normal"])
def test_a_settlement_whose_answer_is_lost_was_written(app: Perdure, struck: list[str], target: str) -> None:
    claim = claimed(app.ledger, submitted(app.ledger))
    with faults.inject("lost_answer", target, at="settle"), pytest.raises(LedgerUnavailable, match="the answer is lost"):
        app.ledger.jobs.settle_all([(claim, SUCCEED)])
    assert app.ledger.jobs.get(claim.job_id).state == "succeeded"
    assert "lost_answer" in struck


def test_a_bulkhead_whose_claims_fail_leaves_the_others_alone(app: Perdure) -> None:
    submitted(app.ledger, bulkhead="critical")
    with faults.inject("broken_store", "bulkhead:normal", at="claim"):
        with pytest.raises(LedgerUnavailable):
            app.ledger.jobs.claim(claimer(app.ledger), 1)
        assert app.ledger.jobs.claim(claimer(app.ledger, bulkhead="critical"), 1)


def test_a_commit_whose_answer_is_lost_has_happened(app: Perdure) -> None:
    with faults.inject("lost_answer", "store:ledger", at="commit"), pytest.raises(LedgerUnavailable):  # noqa: SIM117
        with app.ledger.transaction() as connection:
            connection.execute(bulkheads.insert().values(name="normal", paused=False))
    assert app.ledger.read(lambda c: c.execute(bulkheads.select()).all())


@pytest.mark.parametrize("target", ["task:work", "bulkhead:normal", "store:checkpoints"])
@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("slow_checkpoint", {"delay": DELAY}, "late"),
        ("failing_checkpoint", {}, "StoreUnavailable"),
        ("hang", {"at": "save"}, "late"),
        ("broken_store", {"at": "save"}, "StoreUnavailable"),
        ("broken_store", {"at": "load"}, "StoreUnavailable"),
        ("lost_answer", {"at": "save"}, "StoreUnavailable"),
    ],
)
def test_a_checkpoint(app: Perdure, struck: list[str], kind: str, options: Any, expected: str, target: str) -> None:
    @app.job(name="work")
    def work(ctx: JobContext) -> Any:
        if options.get("at") == "load":
            return outcome(ctx.checkpoint.load)
        return outcome(lambda: ctx.checkpoint.save(1) and "done")

    job = work.submit()
    with faults.inject(kind, target, **options):
        run_once(app, job)
    assert job.result() == expected
    assert struck == [kind]
    assert bool(app.ledger.running.load_checkpoint(job.id, "main")) == (expected == "late" or kind == "lost_answer")


@pytest.mark.parametrize("target", ["store:broker", "bulkhead:normal"])
@pytest.mark.parametrize(("kind", "options"), OF_A_STORE)
def test_a_bell(app: Perdure, struck: list[str], kind: str, options: Any, target: str) -> None:
    with faults.inject(kind, target, at="ring", **options):
        assert outcome(lambda: app.bells.ring("normal") and "done") == (False if kind == "broken_store" else "late")
    assert struck == [kind]


@pytest.mark.parametrize(("kind", "options"), OF_A_STORE)
def test_what_is_shared_in_redis(app: Perdure, struck: list[str], kind: str, options: Any) -> None:
    breaker = app.breakers["mail"]
    with faults.inject(kind, "store:redis", **options):
        assert breaker.call(lambda: "done") == "done"
        assert breaker.snapshot().shared == (kind != "broken_store")
    assert set(struck) == {kind}
