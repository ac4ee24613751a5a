"""A slice: nobody waits for a long job, what cannot be settled is tried again, and a slice is as large as its time."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from perdure.model.records import RELEASED, Claim
from perdure_workers.worker import slice as module
from perdure_workers.worker.execute import Attempt
from perdure_workers.worker.slice import BUDGET, GROWTH, MOST, Ended, Slice, SliceKeeper, SliceSize
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
    assert held.late_in() == pytest.approx(BUDGET * 0.4)
    clock.sleep(BUDGET * 0.6)
    assert held.late_in() == 0.0
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
    assert held.late_in() == pytest.approx(BUDGET * 0.1)
    clock.sleep(BUDGET * 0.2)
    assert held.late_in() == 0.0


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
