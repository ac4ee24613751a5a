"""A child's shift from claim to settlement: whatever fails on the way, each job settles, and no other is touched."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from msgspec.structs import asdict
from sqlalchemy.exc import DataError

from perdure import Discard, JobContext, NodeUnfit, Perdure, RetryPolicy, Snooze
from perdure.errors import LedgerUnavailable
from perdure.manage.masked import masked_settlement
from perdure.model.events import JobEvent
from perdure.model.settlement import decide
from perdure.model.signature import Signature
from perdure.model.worker_health import WorkerEvent
from perdure_workers.recovery import outage
from perdure_workers.recovery.incarnation import Incarnation
from perdure_workers.recovery.rescue import release_behind, rescue_child
from perdure_workers.shared.shared import Shared
from perdure_workers.shared.wakeups import Wakeups
from perdure_workers.worker import execute
from perdure_workers.worker import shift as shift_module
from perdure_workers.worker import slice as slice_module
from perdure_workers.worker.expected import Expected
from perdure_workers.worker.shift import Shift
from perdure_workers.worker.slice import BUDGET, SliceKeeper, SliceSize
from support.ledgers import LOSE, RETRY, claimed, job
from support.waiting import wait_until

BAD = 13


class Child:
    """A child that works in this process, one slice at a time, as the test says."""

    def __init__(self, app: Perdure, size: int) -> None:
        self.app = app
        self.shared = Shared(Wakeups(2))
        self.worker = Incarnation.new("w", "normal", 2)
        self.shift = Shift(app, self.worker, self.shared, 0)
        self.shift._size._most = size
        self.shift._keeper.start()

    def serve(self) -> bool:
        """Claim a slice, run and settle it, and claim none along with that; return whether there was any."""
        if claims := self.shift._claim():
            self.shift._work(claims).let_go()
        return bool(claims)

    def work(self, *jobs: Any) -> list[str]:
        """Serve until nothing is left to claim; return the jobs' states."""
        self.shift._serve()
        return [str(job.state) for job in jobs]

    def holds(self) -> bool:
        slot = self.shared.slots.of(os.getpid())
        assert slot is not None
        return slot.holds

    def close(self) -> None:
        self.shift._keeper.watch(None)
        self.shift._executor.close()


@pytest.fixture
def child(app: Perdure) -> Iterator[Callable[[], Child]]:
    """Makes a child that claims ten jobs at once; make it when the tasks are defined."""
    made: list[Child] = []

    def make(size: int = 10) -> Child:
        made.append(Child(app, size))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def add(app: Perdure) -> Any:
    @app.job(name="add", retry="none")
    def add(n: int, to: int = 0) -> int:
        return n + to

    return add


def before_settling(app: Perdure, patch: pytest.MonkeyPatch, do: Callable[[Any], object]) -> None:
    """Do something before endings are settled, alone or along with a claim."""

    def patched(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(endings: Any, *others: Any) -> Any:
            do(endings)
            return original(endings, *others)

        return call

    for name in ("settle_all", "settle_and_claim"):
        patch.setattr(app.ledger.jobs, name, patched(getattr(app.ledger.jobs, name)))


def of_bad(claim: Any) -> bool:
    return bool(claim.args.startswith(f"[{BAD}"))


def raising(original: Callable[..., Any], is_bad: Callable[..., bool], error: BaseException) -> Callable[..., Any]:
    """Return a function that does as another one, and raises for what is bad."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if is_bad(*args, **kwargs):
            raise error
        return original(*args, **kwargs)

    return call


MakeChild = Callable[..., Child]


# -- how it is meant ---------------------------------------------------------------------------------------------------


def test_a_slice_is_run_and_settled_together(app: Perdure, add: Any, child: MakeChild) -> None:
    jobs = add.submit_many([(n,) for n in range(5)])
    worker = child()
    worker.work()
    assert [job.result() for job in jobs] == [0, 1, 2, 3, 4]
    assert [[attempt.outcome for attempt in job.attempts()] for job in jobs] == [["succeeded"]] * 5
    assert not worker.serve()
    assert not worker.holds()


def test_each_outcome_is_its_job_s_own(app: Perdure, child: MakeChild) -> None:
    @app.job(name="mixed", retry=RetryPolicy(max_retries=2, base=60, max_delay=60))
    def mixed(n: int) -> int:
        if n == 1:
            raise ValueError("no")
        if n == 2:
            raise Discard("never")
        if n == 3:
            raise Snooze(60)
        if n == 4:
            raise SystemExit(3)
        return n

    jobs = mixed.submit_many([(n,) for n in range(6)])
    assert child().work(*jobs) == ["succeeded", "retrying", "dead", "retrying", "retrying", "succeeded"]
    assert [job.attempts()[0].outcome for job in jobs] == [
        "succeeded",
        "failed",
        "failed",
        "snoozed",
        "failed",
        "succeeded",
    ]


def test_a_long_job_holds_up_none_that_was_claimed_with_it(app: Perdure, child: MakeChild) -> None:
    begun, go_on = threading.Event(), threading.Event()

    @app.job(name="wait")
    def wait(n: int) -> int:
        if n == 1:
            begun.set()
            assert go_on.wait(20)
        return n

    first, long, rest = wait.submit_many([(0,), (1,), (2,)])
    worker, served = child(), []
    thread = threading.Thread(target=lambda: served.append(worker.serve()))
    thread.start()
    assert begun.wait(20)
    wait_until(lambda: (first.state, long.state, rest.state) == ("succeeded", "running", "queued"))
    assert rest.attempts() == []
    assert (rest.record.attempt, rest.record.fence) == (0, 1)
    go_on.set()
    thread.join(20)
    assert worker.work(first, long, rest) == ["succeeded"] * 3


def test_jobs_that_took_long_are_run_alone(app: Perdure, add: Any, child: MakeChild) -> None:
    jobs = add.submit_many([(n,) for n in range(3)])
    worker = child()
    worker.shift._expected.learn("add", 60.0)
    assert worker.serve()
    assert [job.state for job in jobs] == ["succeeded", "queued", "queued"]


def test_a_job_with_a_crash_takes_nobody_with_it(
    app: Perdure, add: Any, child: MakeChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, pill, other = add.submit_many([(n,) for n in range(3)])
    app.ledger.jobs.settle(claimed(app.ledger, pill.id), LOSE)
    states: list[list[str]] = []
    original = execute.Executor.__call__

    def look(self: Any, claim: Any, *args: Any) -> Any:
        if claim.job_id == pill.id:
            states.append([str(job.state) for job in (first, pill, other)])
        return original(self, claim, *args)

    monkeypatch.setattr(execute.Executor, "__call__", look)
    assert child().work(first, pill, other) == ["succeeded"] * 3
    assert states == [["succeeded", "running", "queued"]]


def test_a_draining_worker_gives_back_what_it_has_not_begun(app: Perdure, child: MakeChild) -> None:
    workers: list[Child] = []

    @app.job(name="drains")
    def drains(n: int) -> int:
        workers[0].shared.draining.raise_()
        return n

    jobs = drains.submit_many([(n,) for n in range(3)])
    workers.append(child())
    workers[0].serve()
    assert [job.state for job in jobs] == ["succeeded", "queued", "queued"]
    assert [len(job.attempts()) for job in jobs] == [1, 0, 0]


def test_a_job_behind_an_open_breaker_goes_back_and_burns_nothing(app: Perdure, child: MakeChild) -> None:
    @app.job(name="pay", breaker="payments")
    def pay(n: int) -> int:
        if n == 0:
            app.breakers["payments"].force_open()
        return n

    jobs = pay.submit_many([(n,) for n in range(3)])
    worker = child()
    worker.serve()
    assert [job.state for job in jobs] == ["succeeded", "queued", "queued"]
    assert [(job.record.attempt, job.record.snoozes, len(job.attempts())) for job in jobs[1:]] == [(0, 0, 0)] * 2
    assert not worker.serve()


def test_a_shift_ends_when_its_worker_drains(app: Perdure, add: Any, child: MakeChild) -> None:
    worker = child()
    jobs = add.submit_many([(n,) for n in range(30)])
    thread = threading.Thread(target=worker.shift.run)
    worker.shift._keeper = SliceKeeper(lambda: None)
    thread.start()
    wait_until(lambda: {str(job.state) for job in jobs} == {"succeeded"})
    worker.shared.draining.raise_()
    worker.shared.wakeups.post()
    thread.join(20)
    assert not thread.is_alive()
    assert worker.shared.wakeups.wait(0.0)  # for the next one


# -- the next job, claimed ahead ---------------------------------------------------------------------------------------


@pytest.fixture
def ahead(app: Perdure, child: MakeChild, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], object]], Child]:
    """Makes a child that claims the next job a moment after one of its task begins, and keeps it for a minute.

    In that moment the ledger's clock moves on, which on SQLite has milliseconds: else the job would go back at once, as one
    whose claim is not after the other's.
    """
    for name, seconds in (("BUDGET", 60.0), ("LEAD", 60.0), ("LONGEST", 61.0)):
        monkeypatch.setattr(slice_module, name, seconds)
    monkeypatch.setattr(shift_module, "LONGEST", 61.0)

    def make(work: Callable[[int], object]) -> Child:
        def run(n: int) -> None:
            work(n)

        app.job(name="long")(run)
        worker = child(1)
        monkeypatch.setattr(Expected, "__call__", lambda *_: 0.1)
        monkeypatch.setattr(Expected, "nearly", lambda *_: 60.02)
        return worker

    return make


MakeAhead = Callable[[Callable[[int], object]], Child]


def test_the_next_job_is_claimed_while_one_runs_and_begins_when_that_ends(
    app: Perdure, ahead: MakeAhead, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []

    def work(n: int) -> None:
        ran.append(n)
        if n < 2:
            wait_until(lambda: jobs[n + 1].state == "running")
            assert not n or jobs[n - 1].state == "succeeded"  # settled while this one runs
        if n == 2:
            wait_until(lambda: jobs[1].state == "succeeded")

    worker = ahead(work)
    jobs = [app.task("long").submit(n) for n in range(3)]
    slices: list[int] = []
    original = worker.shift._work

    def work_on(claims: Any) -> Any:
        slices.append(len(claims))
        return original(claims)

    monkeypatch.setattr(worker.shift, "_work", work_on)
    assert worker.work(*jobs) == ["succeeded"] * 3
    assert (ran, slices) == ([0, 1, 2], [1])
    assert [(job.record.fence, job.record.attempt, len(job.attempts())) for job in jobs] == [(1, 1, 1)] * 3
    assert not worker.holds()


def test_a_child_that_dies_has_a_job_claimed_ahead_run_elsewhere_and_nothing_burned(app: Perdure, ahead: MakeAhead) -> None:
    def work(n: int) -> None:
        wait_until(lambda: jobs[1].state == "running")
        slot = worker.shared.slots.of(os.getpid())
        assert rescue_child(app, worker.worker.id, os.getpid(), "was killed", slot) == 2
        worker.shared.draining.raise_()  # as it would do no more

    worker = ahead(work)
    jobs = [app.task("long").submit(n) for n in range(2)]
    worker.serve()
    records = [job.refresh().record for job in jobs]
    assert [(record.state, record.attempt, record.crashes) for record in records] == [("queued", 1, 1), ("queued", 0, 0)]
    assert [[attempt.outcome for attempt in job.attempts()] for job in jobs] == [["crashed"], []]


def test_an_urgent_job_that_was_claimed_ahead_comes_behind_the_one_that_runs(
    app: Perdure, ahead: MakeAhead, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it is given back, and not the other, when the child is stopped."""
    behind: list[int] = []
    urgent: list[Any] = []

    def work(n: int) -> None:
        wait_until(lambda: urgent and urgent[0].state == "running")
        slot = worker.shared.slots.of(os.getpid())
        assert slot is not None
        behind.append(release_behind(app, worker.worker.id, slot))
        wait_until(lambda: urgent[0].state == "queued")
        worker.shared.draining.raise_()

    def comes_first(runs: Any) -> Any:
        urgent.append(app.task("long").options(priority=0).submit(2))
        return original(runs)

    worker = ahead(work)
    original = worker.shift._choice.claim_ahead
    monkeypatch.setattr(worker.shift._choice, "claim_ahead", comes_first)
    job = app.task("long").submit(1)
    worker.serve()
    assert (behind, job.state) == ([1], "succeeded")


def test_a_draining_worker_gives_back_what_it_has_claimed_ahead(app: Perdure, ahead: MakeAhead) -> None:
    def work(n: int) -> None:
        wait_until(lambda: jobs[1].state == "running")
        worker.shared.draining.raise_()

    worker = ahead(work)
    jobs = [app.task("long").submit(n) for n in range(3)]
    assert worker.work(*jobs) == ["succeeded", "queued", "queued"]
    assert [(job.record.fence, len(job.attempts())) for job in jobs] == [(1, 1), (1, 0), (0, 0)]


def test_a_job_that_takes_longer_than_expected_holds_up_none_that_was_claimed_ahead(
    app: Perdure, ahead: MakeAhead, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(n: int) -> None:
        if n == 0:
            wait_until(lambda: jobs[1].refresh().record.fence == 1 and jobs[1].state == "queued")

    worker = ahead(work)
    monkeypatch.setattr(slice_module, "BUDGET", BUDGET)
    jobs = [app.task("long").submit(n) for n in range(2)]
    assert worker.work(*jobs) == ["succeeded"] * 2
    assert [(job.record.attempt, len(job.attempts())) for job in jobs] == [(1, 1)] * 2


def test_beside_a_job_with_a_crash_nothing_is_claimed(app: Perdure, ahead: MakeAhead) -> None:
    seen: list[list[str]] = []

    def work(n: int) -> None:
        if n == 1:
            seen.append([str(job.state) for job in jobs])
        elif n == 0:
            wait_until(lambda: jobs[1].state == "running")

    worker = ahead(work)
    jobs = [app.task("long").submit(n) for n in range(3)]
    app.ledger.jobs.settle(claimed(app.ledger, jobs[1].id), LOSE)
    assert worker.work(*jobs) == ["succeeded"] * 3
    assert seen == [["succeeded", "running", "queued"]]


def test_a_claim_ahead_whose_answer_is_lost_is_found_by_the_next_one(
    app: Perdure, ahead: MakeAhead, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []
    lost = threading.Event()

    def work(n: int) -> None:
        ran.append(n)
        if n == 0:
            assert lost.wait(20)

    worker = ahead(work)
    jobs, original = [app.task("long").submit(n) for n in range(3)], app.ledger.jobs.claim

    def lose(*args: Any, **kwargs: Any) -> Any:
        answer = original(*args, **kwargs)
        if ran and not lost.is_set():
            lost.set()
            raise LedgerUnavailable("the answer is lost")
        return answer

    monkeypatch.setattr(app.ledger.jobs, "claim", lose)
    assert worker.work(*jobs) == ["succeeded"] * 3
    assert ran == [0, 1, 2]
    assert [(job.record.fence, len(job.attempts())) for job in jobs] == [(1, 1)] * 3


# -- what fails on the way ---------------------------------------------------------------------------------------------


def bad_codec(app: Perdure, patch: pytest.MonkeyPatch, error: BaseException) -> None:
    original = Signature.encode_result
    patch.setattr(Signature, "encode_result", raising(original, lambda _, value: value == BAD, error))


def bad_decide(app: Perdure, patch: pytest.MonkeyPatch, error: BaseException) -> None:
    patch.setattr(execute, "decide", raising(decide, lambda _ended, claim, *_: of_bad(claim), error))


def bad_vault(app: Perdure, patch: pytest.MonkeyPatch, error: BaseException) -> None:
    """It cannot write the outcome of one job, except that it could not be recorded."""
    bad = [job.id for job in app.jobs.list() if job.record.args == [BAD]]

    def is_bad(job_id: str, _task: str, settlement: Any) -> bool:
        return job_id in bad and settlement.result is not None

    patch.setattr(app.ledger.vault, "settlement", raising(app.ledger.vault.settlement, is_bad, error))


def bad_arguments(app: Perdure, patch: pytest.MonkeyPatch, error: BaseException) -> None:
    patch.setattr(app.ledger.vault, "call_of", raising(app.ledger.vault.call_of, of_bad, error))


def bad_ledger(app: Perdure, patch: pytest.MonkeyPatch, error: BaseException) -> None:
    """The database refuses the whole statement for one row of it."""

    def refuse(endings: Any) -> None:
        if any(of_bad(claim) and settlement.result is not None for claim, settlement in endings):
            raise DataError("UPDATE", {}, error)

    before_settling(app, patch, refuse)


FAILURES = [bad_codec, bad_decide, bad_vault, bad_arguments, bad_ledger]


@pytest.mark.parametrize("fails", FAILURES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("error", [RuntimeError("a bug"), MemoryError()], ids=["bug", "memory"])
def test_a_job_whose_outcome_cannot_be_had_dies_alone(
    app: Perdure, add: Any, child: MakeChild, monkeypatch: pytest.MonkeyPatch, fails: Any, error: BaseException
) -> None:
    jobs = add.submit_many([(n,) for n in (1, BAD, 2)])
    worker = child()
    with monkeypatch.context() as broken:
        fails(app, broken, error)
        states = worker.work(*jobs)
    assert states == ["succeeded", "dead", "succeeded"]
    assert [[attempt.outcome for attempt in job.attempts()] for job in jobs] == [["succeeded"], ["failed"], ["succeeded"]]
    assert [letter.job_id for letter in app.dead_letters.list()] == [jobs[1].id]
    assert not worker.holds()


def test_a_secret_s_mask_that_fails_lets_nothing_out_and_the_job_settles(
    app: Perdure, child: MakeChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.job(name="fails", retry="none")
    def fails(n: int) -> int:
        raise ValueError(f"secret-{n}")

    jobs = fails.submit_many([(n,) for n in (1, BAD, 2)])
    original = masked_settlement
    bad = raising(original, lambda settlement, _mask: f"secret-{BAD}" in str(settlement.error), RuntimeError("a bug"))
    monkeypatch.setattr(execute, "masked_settlement", bad)
    assert child().work(*jobs) == ["dead"] * 3
    assert [job.error for job in jobs[::2]] == ["secret-1", "secret-2"]
    assert "secret-" not in str(jobs[1].error)
    assert "secret-" not in str(jobs[1].attempts()[0].traceback)


@pytest.mark.parametrize("what", ["began", "ended"])
def test_events_that_cannot_be_told_change_no_outcome(
    app: Perdure, add: Any, child: MakeChild, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    jobs = add.submit_many([(n,) for n in (1, BAD, 2)])
    worker = child()
    told: list[str] = []

    def tell(claim: Any, *_: Any) -> None:
        if of_bad(claim):
            raise RuntimeError("a bug")
        told.append(claim.job_id)

    monkeypatch.setattr(worker.shift._events, what, tell)
    assert worker.work(*jobs) == ["succeeded"] * 3
    assert told == [jobs[0].id, jobs[2].id]
    assert [len(job.attempts()) for job in jobs] == [1, 1, 1]


def test_a_subscriber_that_fails_changes_no_outcome(app: Perdure, add: Any, child: MakeChild) -> None:
    heard: list[JobEvent] = []

    def subscriber(event: JobEvent) -> None:
        heard.append(event)
        raise RuntimeError("a bug")

    jobs = add.submit_many([(n,) for n in range(3)])
    app.events.subscribe(subscriber)
    assert child().work(*jobs) == ["succeeded"] * 3
    assert Counter(str(event.target) for event in heard) == {"running": 3, "succeeded": 3}


def test_waking_a_coordinator_that_fails_changes_no_outcome(
    app: Perdure, add: Any, child: MakeChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = app.ledger.jobs.submit([job(BAD, task="add", replica_of="coordinator"), job(1, task="add"), job(2, task="add")])
    monkeypatch.setattr(
        app.ledger.running, "wake", raising(app.ledger.running.wake, lambda *_: True, RuntimeError("a bug"))
    )
    worker = child()
    worker.work()
    assert [app.jobs.get(each.id).state for each in jobs] == ["succeeded"] * 3


def test_an_outage_while_settling_is_outlasted(
    app: Perdure, add: Any, child: MakeChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = add.submit_many([(n,) for n in range(3)])
    outages = [LedgerUnavailable("away")] * 3

    def fail(_endings: Any) -> None:
        if outages:
            raise outages.pop()

    before_settling(app, monkeypatch, fail)
    assert child().work(*jobs) == ["succeeded"] * 3


def test_commits_whose_answers_are_lost_have_no_job_run_twice(
    app: Perdure, child: MakeChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a transaction that settles and claims both are in doubt, and so is the one that tries again."""
    ran: list[int] = []

    @app.job(name="note")
    def note(n: int) -> None:
        ran.append(n)

    jobs, lot, original = note.submit_many([(n,) for n in range(40)]), Random(7), app.ledger.database.run

    def lose_some(work: Any, **how: Any) -> Any:
        answer = original(work, **how)
        if lot.random() < 0.4:
            raise LedgerUnavailable("the answer is lost")
        return answer

    worker = child(2)
    monkeypatch.setattr(outage, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(SliceSize, "learn", lambda *_: None)  # so that there are many slices
    with monkeypatch.context() as broken:
        broken.setattr(app.ledger.database, "run", lose_some)
        worker.work()
    assert sorted(ran) == list(range(40))
    assert [(str(job.state), len(job.attempts())) for job in jobs] == [("succeeded", 1)] * 40


def test_nothing_is_lost_while_nothing_can_be_settled_at_all(
    app: Perdure, add: Any, child: MakeChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a job that runs alone the others are let go; that this fails must not lose the job itself."""
    first, pill, rest = add.submit_many([(n,) for n in range(3)])
    worker = child()
    failures = [1, 1, 1]

    def fail(_endings: Any) -> None:
        if failures:
            failures.pop()
            raise RuntimeError("a bug")

    worker.shift._expected.learn("add", 60.0)
    before_settling(app, monkeypatch, fail)
    worker.serve()
    assert [str(job.state) for job in (first, pill, rest)] == ["succeeded", "queued", "queued"]
    assert worker.work(first, pill, rest) == ["succeeded"] * 3


def test_a_worker_that_lost_its_lease_writes_nothing(app: Perdure, child: MakeChild) -> None:
    @app.job(name="loses")
    def loses(n: int) -> int:
        if n == BAD:
            [running] = [job for job in app.ledger.running.of_worker(workers[0].worker.id) if of_bad(job.claim)]
            app.ledger.jobs.settle(running.claim, RETRY)
        return n

    jobs = loses.submit_many([(n,) for n in (1, BAD, 2)])
    workers = [child()]
    assert workers[0].work(*jobs) == ["succeeded", "retrying", "succeeded"]
    assert [attempt.outcome for attempt in jobs[1].attempts()] == ["failed"]


def test_a_final_transaction_has_settled_already(app: Perdure, child: MakeChild) -> None:
    @app.job(name="final")
    def final(ctx: JobContext, n: int) -> int:
        with ctx.transaction(final=True):
            pass
        if n == BAD:
            raise ValueError("too late")
        return n

    jobs = final.submit_many([(n,) for n in (1, BAD, 2)])
    assert child().work(*jobs) == ["succeeded"] * 3
    assert [len(job.attempts()) for job in jobs] == [1, 1, 1]


def test_the_slot_says_at_each_moment_what_runs(app: Perdure, child: MakeChild) -> None:
    seen: list[tuple[str, bool]] = []

    @app.job(name="looks", timeout=30)
    def looks(n: int) -> int:
        slot = workers[0].shared.slots.of(os.getpid())
        assert slot is not None
        assert slot.limit == 30
        seen.append((slot.job_id, slot.holds))
        return n

    jobs = looks.submit_many([(n,) for n in range(3)])
    workers = [child()]
    workers[0].work(*jobs)
    assert seen == [(job.id, True) for job in jobs]


def test_a_time_limit_that_an_operator_set_ends_a_job(app: Perdure, child: MakeChild) -> None:
    @app.job(name="endless", retry="none")
    def endless() -> None:
        threading.Event().wait(20)

    run = endless.submit()
    worker = child()
    worker.shared.time_limits.set("endless", 0.05)
    assert worker.work(run) == ["dead"]
    assert run.attempts()[0].outcome == "timeout"


def test_a_slice_whose_jobs_cannot_even_be_claimed_leaves_nothing_behind(
    app: Perdure, add: Any, child: MakeChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.job(name="guarded", breaker="b")  # so that a claim is followed by a look at the lanes
    def guarded() -> None: ...

    jobs = add.submit_many([(n,) for n in range(3)])
    worker = child()
    with monkeypatch.context() as broken:
        broken.setattr(
            app.ledger.jobs, "lanes", raising(app.ledger.jobs.lanes, lambda *_, **__: True, RuntimeError("a bug"))
        )
        with pytest.raises(RuntimeError):
            worker.serve()
    assert app.jobs.count() == {"running": 3}
    assert worker.work(*jobs) == ["succeeded"] * 3


def test_a_coordinator_that_is_cancelled_when_it_is_to_wait_takes_its_replicas_along(
    app: Perdure, child: MakeChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.job(name="copy", replicas=3)
    def copy() -> int:
        return 1

    job = copy.submit()
    worker = child(1)
    before_settling(app, monkeypatch, lambda _: app.ledger.jobs.cancel(job.id, "not wanted"))  # after it has looked
    worker.serve()
    assert job.state == "cancelled"
    assert [str(replica.state) for replica in job.replicas()] == ["cancelled"] * 3


def test_a_job_that_finds_its_node_unfit_ends_the_worker_and_goes_elsewhere(app: Perdure, child: Any) -> None:
    @app.job(name="write", retry="none")
    def write(secret: str) -> None:
        raise NodeUnfit("the disk is read-only")

    made, job = child(1), write.submit("x")
    app.ledger.workers.register(asdict(made.worker) | {"lease_ttl": 60.0, "lock_path": None})
    events: list[WorkerEvent] = []
    app.workers.subscribe(events.append)
    assert made.serve()
    assert made.shared.draining()
    record = job.refresh().record
    assert (record.state, record.crashes, record.error_type) == ("queued", 1, "perdure.control.NodeUnfit")
    assert [(event.target, event.reason) for event in events] == [("unfit", "the disk is read-only")]
    [worker] = app.workers.list()
    assert (worker.draining, worker.unfit) == (True, "the disk is read-only")


def test_a_job_that_finds_all_nodes_unfit_is_a_dead_letter(app: Perdure, child: Any) -> None:
    @app.job(name="write", retry="none")
    def write() -> None:
        raise NodeUnfit("the disk is read-only")

    job = write.submit()
    for _ in range(app.settings.max_crashes):
        child(1).serve()
    assert job.state == "dead"
    [letter] = app.dead_letters.list()
    assert letter.reason == "crashed"
