"""A slice: nobody waits for a long job, what cannot be settled is tried again, and a slice is as large as its time."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from perdure.model.records import RELEASED, Claim
from perdure_workers.recovery import overseer
from perdure_workers.worker import slice as module
from perdure_workers.worker.execute import Attempt
from perdure_workers.worker.slice import BUDGET, GROWTH, LEAD, LONGEST, MOST, Ended, Slice, SliceKeeper, SliceSize
from support.clock import Clock
from support.waiting import wait_until

FOR_EVER = float("inf")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


class Settled:
    """What was settled and what was given back, call by call."""

    def __init__(self, *errors: Exception) -> None:
        self.calls: list[tuple[list[str], list[str]]] = []
        self.errors = list(errors)

    def __call__(self, ended: Sequence[Ended], rest: Sequence[Claim]) -> Sequence[Claim]:
        self.calls.append(([claim.job_id for claim, _ in ended], [claim.job_id for claim in rest]))
        if self.errors:
            raise self.errors.pop(0)
        return []


def claim(job_id: str) -> Claim:
    return Claim(
        job_id=job_id, fence=1, task="t", bulkhead="normal", args="[]", kwargs="{}", attempt=1, crashes=0, snoozes=0,
        priority=5, idempotency_key=None, replay_of=None, tags=None, worker_name="w", worker_pid=1, created_at=0.0,
        queued_at=0.0, started_at=0.0, first_started_at=0.0, deadline=None, timeout=None, checkpoint_seq=0,
    )  # fmt: skip


def claims(names: str) -> list[Claim]:
    return [claim(name) for name in names]


DONE = Attempt(RELEASED)


def run_next(held: Slice) -> str | None:
    found = held.next()
    if found is None:
        return None
    held.add(found, DONE)
    return found.job_id


# -- a slice -----------------------------------------------------------------------------------------------------------


def test_what_ended_in_time_is_settled_at_once_together(clock: Clock) -> None:
    settled = Settled()
    held = Slice(claims("abc"), settled, FOR_EVER)
    assert [run_next(held) for _ in range(4)] == ["a", "b", "c", None]
    assert settled.calls == []
    held.let_go()
    held.let_go()
    assert settled.calls == [(["a", "b", "c"], [])]


def test_a_process_that_was_stopped_longer_than_its_lease_lasts_begins_none_of_its_jobs(clock: Clock) -> None:
    settled = Settled()
    held = Slice(claims("ab"), settled, until=clock.now + 10.0)
    clock.now += 10.1
    assert held.next() is None
    held.let_go()
    assert settled.calls == [([], ["a", "b"])]


def test_what_its_time_does_not_reach_goes_back(clock: Clock) -> None:
    settled = Settled()
    held = Slice(claims("abc"), settled, FOR_EVER)
    run_next(held)
    clock.sleep(BUDGET * 0.6)
    assert held.due_at() - clock.now == pytest.approx(BUDGET * 0.4)
    clock.sleep(BUDGET * 0.6)
    assert held.due_at() < clock.now
    assert held.next() is None
    held.let_go()
    assert settled.calls == [(["a"], ["b", "c"])]


def test_an_outcome_waits_for_company_from_the_first_one_on(clock: Clock) -> None:
    held = Slice(claims("ab"), Settled(), FOR_EVER)
    clock.sleep(BUDGET * 0.9)
    run_next(held)
    clock.sleep(BUDGET * 0.05)
    assert held.next() is not None  # and it takes its time; none is left to be given back
    clock.sleep(BUDGET * 0.85)
    assert held.due_at() - clock.now == pytest.approx(BUDGET * 0.1)
    clock.sleep(BUDGET * 0.2)
    assert held.due_at() < clock.now


def test_the_first_job_is_begun_however_late_it_is(clock: Clock) -> None:
    held = Slice(claims("ab"), Settled(), FOR_EVER)
    clock.sleep(60.0)
    assert run_next(held) == "a"
    assert run_next(held) is None


def test_a_job_under_way_stays_when_the_others_go(clock: Clock) -> None:
    settled = Settled()
    held = Slice(claims("abc"), settled, FOR_EVER)
    run_next(held)
    under_way = held.next()
    assert under_way is not None
    held.let_go()
    assert settled.calls == [(["a"], ["c"])]
    assert held.next() is None
    held.add(under_way, DONE)
    held.let_go()
    assert settled.calls[1:] == [(["b"], [])]
    assert held.begun == 2


def test_what_could_not_be_settled_is_tried_again_and_nothing_of_it_is_run(clock: Clock) -> None:
    settled = Settled(RuntimeError("no"))
    held = Slice(claims("abc"), settled, FOR_EVER)
    run_next(held)
    under_way = held.next()
    assert under_way is not None
    with pytest.raises(RuntimeError):
        held.let_go()
    assert held.next() is None  # it may have been given back after all, and run elsewhere
    held.add(under_way, DONE)
    held.let_go()
    assert settled.calls == [(["a"], ["c"]), (["a", "b"], ["c"])]
    held.let_go()
    assert len(settled.calls) == 2


def test_two_that_let_go_at_once_settle_everything_once() -> None:
    entered, go_on, settled = threading.Event(), threading.Event(), Settled()

    def slow(ended: Sequence[Ended], rest: Sequence[Claim]) -> Sequence[Claim]:
        entered.set()
        assert go_on.wait(20)
        return settled(ended, rest)

    held = Slice(claims("abc"), slow, FOR_EVER)
    run_next(held)
    threads = [threading.Thread(target=held.let_go) for _ in range(2)]
    threads[0].start()
    assert entered.wait(20)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert settled.calls == [(["a"], ["b", "c"])]


# -- the next job, claimed ahead ---------------------------------------------------------------------------------------


class Ledger:
    """What is claimed ahead, and what that takes; each claim begins a second after the one before."""

    def __init__(self, clock: Clock, names: str = "b", takes: float = 0.0) -> None:
        self.clock, self.names, self.takes = clock, names, takes
        self.behind: list[str] = []

    def __call__(self, runs: Claim) -> Sequence[Claim]:
        self.behind.append(runs.job_id)
        self.clock.sleep(self.takes)
        return [replace(claim(name), started_at=self.clock.now) for name in self.names]


LONG = 0.1
PATIENT = 60.0


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has a slice wait for threads as long as they may take on busy cores."""
    for name in ("BUDGET", "LEAD", "LONGEST"):
        monkeypatch.setattr(module, name, PATIENT)


def begun(clock: Clock, settled: Settled, ahead: Ledger, takes: float = LONG) -> tuple[Slice, Claim]:
    """Return a slice, and its one job that has begun and is expected to take so long."""
    held = Slice(claims("a"), settled, FOR_EVER, ahead)
    first = held.next()
    assert first is not None
    assert held.expect(first, takes)
    return held, first


def keep_until_due(clock: Clock, held: Slice) -> None:
    clock.now = max(clock.now, held.due_at())
    held.keep()


def test_the_next_job_is_claimed_shortly_before_a_long_one_ends_and_begins_at_once(clock: Clock) -> None:
    settled, ahead = Settled(), Ledger(clock, takes=0.003)
    held, first = begun(clock, settled, ahead)
    began_at = clock.now
    held.keep()
    assert ahead.behind == []  # it is too early
    assert held.due_at() == pytest.approx(began_at + LONG - LEAD)
    keep_until_due(clock, held)
    assert ahead.behind == ["a"]
    claimed_at = clock.now
    clock.sleep(LEAD)
    held.add(first, DONE)
    assert settled.calls == []
    following = held.next()
    assert following is not None
    assert following.job_id == "b"
    assert following.started_at == pytest.approx(claimed_at + LEAD)
    assert held.expect(following, LONG)
    assert held.due_at() == clock.now
    held.keep()  # what ended is settled while it runs
    assert settled.calls == [(["a"], [])]
    held.add(following, DONE)
    held.let_go()
    assert settled.calls == [(["a"], []), (["b"], [])]


def test_a_job_that_was_claimed_ahead_goes_back_when_the_one_before_it_takes_longer(clock: Clock) -> None:
    settled, ahead = Settled(), Ledger(clock)
    held, first = begun(clock, settled, ahead)
    keep_until_due(clock, held)
    assert held.due_at() == pytest.approx(clock.now + BUDGET)
    keep_until_due(clock, held)
    assert settled.calls == [([], ["b"])]
    assert held.due_at() == FOR_EVER  # nor is another one claimed
    held.add(first, DONE)
    assert held.next() is None


def test_one_whose_claim_takes_long_begins_if_the_job_before_it_has_ended_meanwhile(clock: Clock) -> None:
    settled, ahead = Settled(), Ledger(clock, takes=BUDGET * 3)
    held, first = begun(clock, settled, ahead)
    original = held._ahead

    def ends_meanwhile(runs: Claim) -> Sequence[Claim]:
        held.add(first, DONE)
        return original(runs)

    held._ahead = ends_meanwhile
    keep_until_due(clock, held)
    assert run_next(held) == "b"


@pytest.mark.parametrize("ends", [True, False])
def test_what_the_overseer_may_have_given_back_is_not_begun(clock: Clock, ends: bool) -> None:
    """It does so behind a job that runs for a second, of whose child it hears nothing."""
    settled, ahead = Settled(), Ledger(clock, takes=LONGEST * 1.1 if ends else BUDGET * 1.1)
    held, first = begun(clock, settled, ahead)
    original = held._ahead

    def may_end_meanwhile(runs: Claim) -> Sequence[Claim]:
        if ends:
            held.add(first, DONE)
        return original(runs)

    held._ahead = may_end_meanwhile
    keep_until_due(clock, held)
    if not ends:
        held.add(first, DONE)
    assert held.next() is None
    held.let_go()
    assert settled.calls == [(["a"], ["b"])]
    assert 2 * LONGEST + BUDGET < 2 * overseer.INTERVAL


def test_nothing_is_claimed_ahead_where_the_moment_has_passed(clock: Clock) -> None:
    ahead = Ledger(clock)
    held, _ = begun(clock, Settled(), ahead)
    clock.now = held.due_at() + LEAD * 1.1  # the job held Python's lock
    held.keep()
    assert (ahead.behind, held.due_at()) == ([], FOR_EVER)


def test_nothing_is_claimed_ahead_of_a_job_that_has_ended(clock: Clock) -> None:
    ahead = Ledger(clock)
    held, first = begun(clock, Settled(), ahead)
    clock.now = held.due_at()
    held.add(first, DONE)
    held.keep()
    held.let_go()
    held.keep()
    assert (ahead.behind, held.due_at()) == ([], FOR_EVER)


def test_nothing_is_claimed_for_a_slice_that_is_let_go(clock: Clock) -> None:
    ahead = Ledger(clock)
    held, _ = begun(clock, Settled(), ahead)
    clock.now = held.due_at()
    held.let_go()
    held.keep()
    assert ahead.behind == []


def test_nothing_is_claimed_ahead_while_others_wait(clock: Clock) -> None:
    held = Slice(claims("ab"), Settled(), FOR_EVER, Ledger(clock))
    first = held.next()
    assert first is not None
    assert not held.expect(first, LONG)
    assert held.due_at() == clock.now + BUDGET


def test_nothing_is_claimed_ahead_before_outcomes_are_settled(clock: Clock) -> None:
    """A claim that is repeated takes what its child holds for what it has claimed, but for the one job that runs."""
    settled, ahead = Settled(RuntimeError("no")), Ledger(clock)
    held = Slice(claims("xa"), settled, FOR_EVER, ahead)
    assert run_next(held) == "x"
    first = held.next()
    assert first is not None
    held.expect(first, LONG)
    clock.sleep(LONG - LEAD)
    with pytest.raises(RuntimeError):
        held.keep()
    assert ahead.behind == []
    held.keep()
    held.keep()
    assert (settled.calls, ahead.behind) == ([(["x"], []), (["x"], [])], ["a"])


def test_one_that_the_ledger_s_clock_has_claimed_before_the_one_that_runs_goes_back(clock: Clock) -> None:
    settled, ahead = Settled(), Ledger(clock)
    held = Slice([replace(claim("a"), started_at=clock.now + 10.0)], settled, FOR_EVER, ahead)
    first = held.next()
    assert first is not None
    held.expect(first, LONG)
    keep_until_due(clock, held)
    held.add(first, DONE)
    assert held.next() is None
    held.let_go()
    assert settled.calls == [(["a"], ["b"])]


def test_who_ends_a_job_waits_for_a_claim_that_is_under_way(patient: None) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(runs: Claim) -> Sequence[Claim]:
        asked.set()
        assert go_on.wait(20)
        return [replace(claim("b"), started_at=runs.started_at + 1.0)]

    held, found = Slice(claims("a"), Settled(), FOR_EVER, slow), []
    first = held.next()
    assert first is not None
    held.expect(first, PATIENT)  # so that it is time now
    keeper = threading.Thread(target=held.keep)
    keeper.start()
    assert asked.wait(20)
    held.add(first, DONE)
    main = threading.Thread(target=lambda: found.append(run_next(held)))
    main.start()
    go_on.set()
    for thread in (keeper, main):
        thread.join(20)
    assert found == ["b"]


# -- its keeper --------------------------------------------------------------------------------------------------------


def kept(on_error: list[str] | None = None) -> SliceKeeper:
    keeper = SliceKeeper(lambda: (on_error if on_error is not None else []).append("failed"))
    keeper.start()
    return keeper


def test_the_keeper_lets_go_of_what_waits_for_a_long_job() -> None:
    settled, keeper = Settled(), kept()
    held = Slice(claims("abc"), settled, FOR_EVER)
    run_next(held)
    keeper.watch(held)
    held.next()  # and it takes its time
    wait_until(lambda: settled.calls)
    assert settled.calls == [(["a"], ["c"])]
    keeper.watch(None)


def test_the_keeper_goes_on_when_a_slice_cannot_be_settled() -> None:
    failures: list[str] = []
    settled, keeper = Settled(RuntimeError("no")), kept(failures)
    first = Slice(claims("ab"), settled, FOR_EVER)
    keeper.watch(first)
    first.next()
    wait_until(lambda: len(settled.calls) == 2)
    assert failures == ["failed"]
    assert settled.calls == [([], ["b"]), ([], ["b"])]
    second = Slice(claims("cd"), settled, FOR_EVER)
    keeper.watch(second)
    second.next()
    wait_until(lambda: settled.calls[2:])
    assert settled.calls[2:] == [([], ["d"])]
    keeper.watch(None)


def test_the_keeper_claims_ahead_and_settles_what_ended_as_soon_as_the_next_job_runs(patient: None) -> None:
    settled, keeper, asked = Settled(), kept(), threading.Event()

    def ahead(runs: Claim) -> Sequence[Claim]:
        asked.set()
        return [replace(claim("b"), started_at=runs.started_at + 1.0)]

    held = Slice(claims("a"), settled, FOR_EVER, ahead)
    keeper.watch(held)
    first = held.next()
    assert first is not None
    held.expect(first, PATIENT)  # so that it is time now
    keeper.watch(held)
    assert asked.wait(20)
    held.add(first, DONE)
    following = held.next()
    assert following is not None
    held.expect(following, 3 * PATIENT)
    keeper.watch(held)
    wait_until(lambda: settled.calls)
    assert settled.calls == [(["a"], [])]
    keeper.watch(None)


def test_the_keeper_leaves_a_slice_alone_that_it_no_longer_watches() -> None:
    settled, keeper = Settled(), kept()
    unwatched, watched = Slice(claims("ab"), settled, FOR_EVER), Slice(claims("cd"), settled, FOR_EVER)
    keeper.watch(unwatched)
    keeper.watch(watched)
    wait_until(lambda: settled.calls)
    assert settled.calls == [([], ["c", "d"])]
    keeper.watch(None)


# -- its size ----------------------------------------------------------------------------------------------------------


def test_a_slice_begins_small_and_grows_step_by_step() -> None:
    size, sizes = SliceSize(), []
    for _ in range(6):
        sizes.append(size())
        size.learn(size(), size() * BUDGET / 1000)
    assert sizes == [1, GROWTH, GROWTH**2, GROWTH**3, MOST, MOST]


def test_a_slice_has_as_many_as_begin_within_its_time() -> None:
    size = SliceSize()
    for _ in range(10):
        size.learn(size(), size() * BUDGET / 8.5)
    assert size() == 9


@pytest.mark.parametrize("took", [BUDGET * 1.01, 60.0, 1e9])
def test_long_jobs_come_one_at_a_time_at_once(took: float) -> None:
    size = SliceSize()
    for _ in range(5):
        size.learn(size(), 0.0)
    assert size() == MOST
    size.learn(1, took)
    assert size() == 1


def test_jobs_that_take_no_time_at_all_are_bounded() -> None:
    size = SliceSize()
    for _ in range(10):
        size.learn(size(), 0.0)
    assert size() == MOST
