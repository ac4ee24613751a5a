"""What a child claims: the first jobs that may run now, past all that something holds back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from perdure import LedgerUnavailable, Perdure
from perdure.ledger.jobs import lanes as ledger_limits
from perdure.model.records import RELEASED, Claim
from perdure.settings.settings import BulkheadSettings
from perdure_workers.worker import choice as module
from perdure_workers.worker.choice import Choice
from support.ledgers import SUCCEED, job, run_directly
from support.waiting import wait_until

MakeTask = Callable[..., Any]
MakeChoice = Callable[..., Choice]


def numbers(claims: Sequence[Claim]) -> list[int]:
    """The first arguments of claimed jobs."""
    import msgspec

    return [(msgspec.json.decode(claim.args) or [0])[0] for claim in claims]


def done(app: Perdure, claims: Sequence[Claim]) -> None:
    assert app.ledger.jobs.settle_all([(claim, SUCCEED) for claim in claims]).lost == {}


def open_breaker(app: Perdure, name: str, seconds: float = 60.0) -> None:
    app.breakers[name].force_open(lasts=seconds, reason="test", by="test")


# -- in line -----------------------------------------------------------------------------------------------------------


def test_where_no_task_is_held_back_what_was_claimed_begins_without_a_look_at_the_lanes(
    app: Perdure, task: MakeTask, choice: MakeChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    task("plain").submit(1)
    child, looks = choice(), list[str]()

    def look(bulkhead: str, *_: Any, **_more: Any) -> list[Any]:
        looks.append(bulkhead)
        return []

    monkeypatch.setattr(app.ledger.jobs, "lanes", look)
    assert numbers(child.claim(20)) == [1]
    assert not looks
    assert child.claim(20) == []
    assert looks


def test_jobs_come_by_priority_and_then_by_time_whatever_their_task_and_lane(
    app: Perdure, task: MakeTask, choice: MakeChoice
) -> None:
    plain, other, guarded = task("plain"), task("other"), task("guarded", breaker="b")
    plain.options(priority=9).submit(6)
    guarded.submit(2)
    other.submit(3)
    plain.submit(4)
    guarded.options(priority=0).submit(1)
    guarded.submit(5)
    assert numbers(choice().claim(20)) == [1, 2, 3, 4, 5, 6]


def test_no_more_are_claimed_than_asked_for_and_the_rest_comes_next(
    app: Perdure, task: MakeTask, choice: MakeChoice
) -> None:
    task("plain").submit_many([(n,) for n in range(7)])
    child = choice()
    assert [numbers(child.claim(3)) for _ in range(4)] == [[0, 1, 2], [3, 4, 5], [6], []]


def test_several_children_get_each_job_once(app: Perdure, task: MakeTask, choice: MakeChoice) -> None:
    task("plain").submit_many([(n,) for n in range(20)])
    children = [choice() for _ in range(3)]
    found = [number for _ in range(4) for child in children for number in numbers(child.claim(2))]
    assert sorted(found) == list(range(20))


def test_tasks_that_a_child_does_not_know_are_left_to_others(app: Perdure, task: MakeTask, choice: MakeChoice) -> None:
    task("old").submit(1)
    task("new").options(priority=0).submit(2)
    of_this_release = choice()
    assert numbers(choice(tasks=("old",)).claim(9)) == [1]
    assert numbers(of_this_release.claim(9)) == [2]


def test_an_unknown_job_at_the_head_of_a_shared_lane_holds_up_no_known_one(
    app: Perdure, task: MakeTask, choice: MakeChoice
) -> None:
    """A breaker's lane has jobs of several tasks; the first one may be of a newer release."""
    task("new", breaker="b").submit(1)
    task("old", breaker="b").submit(2)
    assert numbers(choice(tasks=("old",)).claim(9)) == [2]


def test_a_paused_bulkhead_is_left_alone(app: Perdure, task: MakeTask, choice: MakeChoice) -> None:
    task("plain").submit(1)
    task("guarded", breaker="b").submit(2)
    task("limited", limit=1).submit(3)
    app.bulkheads.pause("normal", by="ann")
    child = choice()
    assert child.claim(9) == []
    app.bulkheads.resume("normal")
    assert numbers(child.claim(9)) == [1, 2, 3]


def test_nothing_is_asked_again_when_nothing_waits(app: Perdure, task: MakeTask, choice: MakeChoice) -> None:
    child = choice()
    assert (child.claim(9), child.ask_again) == ([], None)
    task("plain").options(delay=30).submit(1)
    assert child.claim(9) == []
    assert child.ask_again == pytest.approx(30, abs=2)


# -- breakers ----------------------------------------------------------------------------------------------------------


def test_a_lane_whose_breaker_is_open_is_passed_by(app: Perdure, task: MakeTask, choice: MakeChoice) -> None:
    guarded, plain = task("guarded", breaker="b"), task("plain")
    guarded.submit_many([(n,) for n in range(50)])
    plain.submit_many([(n,) for n in range(100, 103)])
    task("other", breaker="c").submit(200)
    open_breaker(app, "b", 20.0)
    child = choice()
    assert numbers(child.claim(9)) == [100, 101, 102, 200]
    assert child.ask_again is not None
    assert 0 < child.ask_again <= 20
    app.breakers["b"].reset()
    found = wait_until(lambda: child.claim(9))
    assert numbers(found) == list(range(len(found)))


def test_a_half_open_breaker_lets_as_many_through_as_it_has_permits(
    app: Perdure, task: MakeTask, choice: MakeChoice
) -> None:
    from perdure.resilience.breaker.config import BreakerConfig

    app.breakers.configure("b", BreakerConfig(failure_threshold=1, recovery_timeout=0.2, half_open_permits=2))
    task("guarded", breaker="b").submit_many([(n,) for n in range(9)])
    with pytest.raises(ConnectionError):
        app.breakers["b"].call(_refuse)
    child = choice()
    assert child.claim(9) == []
    found = wait_until(lambda: child.claim(9))
    assert numbers(found) == [0, 1]


def _refuse() -> None:
    raise ConnectionError("no answer")


def test_a_lane_that_turned_a_job_away_is_passed_by_for_a_while(
    app: Perdure, task: MakeTask, choice: MakeChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TURNED_AWAY", 30.0)
    task("guarded", breaker="b").submit(1)
    child = choice()
    child.pass_by("breaker:b", 30.0)
    assert child.claim(9) == []
    assert child.ask_again == pytest.approx(30, abs=2)
    child.pass_by("breaker:b", 0.0)
    assert numbers(child.claim(9)) == [1]


def test_a_full_lane_of_plain_jobs_starves_no_other_lane(app: Perdure, task: MakeTask, choice: MakeChoice) -> None:
    task("plain").submit_many([(n,) for n in range(50)])
    task("guarded", breaker="b").submit(100)
    task("limited", limit=1).submit(200)
    child = choice()
    found = numbers([*child.claim(5), *child.claim(5)])
    assert {100, 200} < set(found)


# -- limits ------------------------------------------------------------------------------------------------------------


def test_a_limit_is_kept_by_several_children(app: Perdure, task: MakeTask, choice: MakeChoice) -> None:
    task("limited", limit=2).submit_many([(n,) for n in range(9)])
    children = [choice() for _ in range(4)]
    found = [claim for _ in range(3) for child in children for claim in child.claim(5)]
    assert numbers(found) == [0, 1]
    done(app, found[:1])
    assert numbers([claim for child in children for claim in child.claim(5)]) == [2]


def test_short_jobs_of_a_key_are_claimed_several_at_once_and_half_of_the_room_is_left_to_others(
    app: Perdure, task: MakeTask, choice: MakeChoice
) -> None:
    task("limited", limit=8).submit_many([(n,) for n in range(20)])
    assert [len(choice().claim(9)) for _ in range(5)] == [4, 2, 1, 1, 0]


def test_whoever_takes_one_job_takes_one_that_a_limit_bounds(app: Perdure, task: MakeTask, choice: MakeChoice) -> None:
    task("limited", limit=9, limit_by="key").submit_many([(n, f"k{n}") for n in range(9)])
    assert len(choice().claim(1)) == 1


def test_keys_are_served_in_turn_and_a_flood_of_one_waits_for_itself(
    app: Perdure, task: MakeTask, choice: MakeChoice
) -> None:
    limited = task("limited", limit=1, limit_by="key")
    limited.submit_many([(n, "flood") for n in range(30)])
    limited.submit_many([(100, "a"), (200, "b")])
    child = choice()
    first = child.claim(9)
    assert sorted(numbers(first)) == [0, 100, 200]
    done(app, first)
    assert numbers(child.claim(9)) == [1]


def test_a_bulkhead_s_limit_is_shared_fairly_between_keys(app: Perdure, task: MakeTask, choice: MakeChoice) -> None:
    app.settings.bulkheads["normal"] = BulkheadSettings(limit=1)
    limited = task("limited", limit=5, limit_by="key")
    for key in "abc":
        limited.submit_many([(n, key) for n in range(3)])
    child, keys = choice(), []
    for _ in range(9):
        [claim] = child.claim(9)
        keys.append(claim.limit_key)
        done(app, [claim])
    assert keys == [*"abc"] * 3


def test_more_lanes_than_one_look_has_room_for_are_all_served(
    app: Perdure, task: MakeTask, choice: MakeChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the lanes of the first looks are full, or not due."""
    monkeypatch.setattr(ledger_limits, "LANES", 3)
    monkeypatch.setattr(module, "LANES", 3)
    limited = task("limited", limit=1, limit_by="key")
    limited.submit_many([(n, key) for key in "abc" for n in range(2)])
    limited.options(delay=60).submit_many([(0, key) for key in "def"])
    limited.submit_many([(7, "x"), (8, "y")])
    child = choice()
    found = [claim.limit_key for _ in range(6) for claim in child.claim(9)]
    assert sorted(str(key) for key in found) == ["a", "b", "c", "x", "y"]


def test_a_rate_is_kept_and_says_when_to_ask_again(app: Perdure, task: MakeTask, choice: MakeChoice) -> None:
    task("rated", rate=0.5).submit_many([(n,) for n in range(5)])
    child = choice()
    found = [claim for _ in range(5) for claim in child.claim(9)]
    assert numbers(found) == [0]
    assert child.ask_again is not None
    assert 0 < child.ask_again <= 2


def test_a_limit_behind_an_open_breaker_waits_for_it(app: Perdure, task: MakeTask, choice: MakeChoice) -> None:
    task("both", limit=5, breaker="b").submit(1)
    open_breaker(app, "b")
    child = choice()
    assert child.claim(9) == []
    app.breakers["b"].reset()
    assert numbers(wait_until(lambda: child.claim(9))) == [1]


def test_who_has_jobs_in_hand_does_not_wait_for_the_turn_at_the_limits(
    app: Perdure, task: MakeTask, choice: MakeChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    if app.ledger.database.dialect != "postgresql":
        pytest.skip("SQLite has one writer, who waits")
    task("plain").submit_many([(1,), (2,)])
    task("limited", limit=9).submit(3)
    first, second, meanwhile = choice(), choice(), list[int]()
    within = app.limits.admitted

    def admitted(*args: Any) -> Any:
        if not meanwhile:  # the first look is not the turn yet
            meanwhile.append(0)
        elif len(meanwhile) == 1:
            meanwhile.append(-1)
            meanwhile.extend(numbers(second.claim(1)))
        return within(*args)

    monkeypatch.setattr(app.limits, "admitted", admitted)
    assert numbers(first.claim(1)) == [1, 3]
    assert meanwhile == [0, -1, 2]
    assert second.claim(9) == []


def test_who_comes_too_late_for_one_key_takes_another_one_in_the_same_look(
    app: Perdure, task: MakeTask, choice: MakeChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = task("limited", limit=1, limit_by="key")
    limited.submit_many([(n, key) for key in "ab" for n in range(2)])
    monkeypatch.setattr(app.limits, "served", list)  # as in two processes: neither knows what the other one has served
    [first] = choice().claim(1)
    monkeypatch.setattr(app.ledger.jobs, "running_within_limits", dict)  # it looked before that was claimed
    [second] = choice().claim(1)
    assert {first.limit_key, second.limit_key} == {"a", "b"}


# -- replicas ----------------------------------------------------------------------------------------------------------


def test_replicas_go_to_different_workers(app: Perdure, task: MakeTask, choice: MakeChoice) -> None:
    task("copy", replicas=3)
    app.ledger.jobs.submit([job(n, task="copy", replica_of="coordinator") for n in range(3)])
    workers = [choice(worker=f"w-{n}") for n in range(3)]
    first = workers[0].claim(9)
    assert len(first) == 1
    assert workers[0].claim(9) == []
    assert choice(worker="w-0").claim(9) == []  # another child of the same worker
    done(app, first)
    assert workers[0].claim(9) == []
    assert [len(worker.claim(9)) for worker in workers[1:]] == [1, 1]


def test_replicas_of_several_jobs_get_past_the_one_that_a_worker_has(
    app: Perdure, task: MakeTask, choice: MakeChoice
) -> None:
    task("copy", replicas=3)
    app.ledger.jobs.submit([job(n, task="copy", replica_of=f"coordinator-{n // 2}") for n in range(6)])
    child = choice(worker="w-0")
    assert sorted(numbers([claim for _ in range(6) for claim in child.claim(9)])) == [0, 2, 4]


# -- a slow read -------------------------------------------------------------------------------------------------------


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every read of the line counts as slow, so that the next one begins where it ended."""
    monkeypatch.setattr(module, "SLOW", {"postgresql": -1.0, "sqlite": -1.0})
    monkeypatch.setattr(module, "REST", 1e9)
    monkeypatch.setattr(module, "LONGEST_REST", 1e9)
    monkeypatch.setattr(module, "FASTER", 0.0)
    monkeypatch.setattr(module, "SLACK", 0.0)


def test_after_a_slow_read_the_next_one_goes_on_where_it_ended(
    app: Perdure, task: MakeTask, choice: MakeChoice, slow: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    task("plain").submit_many([(n,) for n in range(4)])
    seen: list[Any] = []
    claim = app.ledger.jobs.claim

    def claiming(*args: Any, **options: Any) -> Any:
        seen.append(options.get("since"))
        return claim(*args, **options)

    monkeypatch.setattr(app.ledger.jobs, "claim", claiming)
    child = choice()
    assert [numbers(child.claim(1)) for _ in range(5)] == [[0], [1], [2], [3], []]
    assert not seen[0]
    assert seen[1]
    assert numbers(child.claim(1)) == []


def test_the_next_read_begins_at_the_first_place_of_the_last_one_but_no_later_than_what_may_not_be_seen_yet(
    app: Perdure, task: MakeTask, choice: MakeChoice, slow: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLACK", 5.0)
    task("plain").submit_many([(n,) for n in range(2)])
    run_directly(app.ledger, "UPDATE perdure_jobs SET run_at = run_at - 60")
    task("plain").submit_many([(n,) for n in range(2, 4)])
    marks = list[float]()
    claim = app.ledger.jobs.claim

    def claiming(by: Any, most: int, *, since: Any, **options: Any) -> Any:
        marks.append(since.get(5, 0.0))
        return claim(by, most, since=since, **options)

    monkeypatch.setattr(app.ledger.jobs, "claim", claiming)
    child = choice()
    child.in_doubt = False  # what was in doubt may have any place
    claims = [child.claim(1)[0] for _ in range(4)]
    assert numbers(claims) == [0, 1, 2, 3]
    assert marks == [0.0, claims[0].queued_at, claims[1].queued_at, claims[2].started_at - 5.0]


def test_after_a_slow_read_no_priority_starves(app: Perdure, task: MakeTask, choice: MakeChoice, slow: None) -> None:
    """The mark of one priority must not hide what has waited longer at another."""
    plain = task("plain")
    plain.options(priority=9).submit_many([(n,) for n in range(3)])  # they have waited longest
    time.sleep(0.01)  # SQLite's clock has milliseconds
    plain.options(priority=0).submit_many([(n,) for n in range(10, 13)])
    time.sleep(0.01)
    plain.options(priority=9).submit_many([(n,) for n in range(20, 23)])
    child = choice()
    found = [number for _ in range(9) for number in numbers(child.claim(1))]
    assert found == [10, 11, 12, 0, 1, 2, 20, 21, 22]


def test_after_a_slow_read_a_slice_across_priorities_leaves_nobody_behind(
    app: Perdure, task: MakeTask, choice: MakeChoice, slow: None
) -> None:
    plain = task("plain")
    plain.options(priority=9).submit_many([(n,) for n in range(4)])
    time.sleep(0.01)
    plain.options(priority=0).submit_many([(n,) for n in range(10, 12)])
    child = choice()
    assert numbers(child.claim(3)) == [10, 11, 0]
    assert numbers(child.claim(3)) == [1, 2, 3]


def test_what_comes_back_to_an_old_place_is_found_when_all_is_read_again(
    app: Perdure, task: MakeTask, choice: MakeChoice, slow: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_REST", 0.2)
    task("plain").submit_many([(n,) for n in range(3)])
    [elsewhere] = choice().claim(1)
    child = choice()
    assert numbers(child.claim(1)) == [1]
    app.ledger.jobs.settle(elsewhere, RELEASED)
    found = [*child.claim(1), *wait_until(lambda: child.claim(1))]
    assert sorted(numbers(found)) == [0, 2]


def test_after_a_slow_read_to_the_end_what_a_child_gives_back_and_what_is_new_is_found(
    app: Perdure, task: MakeTask, choice: MakeChoice, slow: None
) -> None:
    plain = task("plain")
    plain.options(priority=7).submit(0)
    plain.submit_many([(n,) for n in range(1, 3)])
    child = choice()
    claims = child.claim(9)
    assert numbers(claims) == [1, 2, 0]
    app.ledger.jobs.settle_all([(claim, RELEASED) for claim in claims])
    time.sleep(0.01)
    plain.options(priority=9).submit(3)
    assert numbers(child.claim(9)) == [1, 2, 0, 3]
    assert child.claim(9) == []


def test_a_pause_is_not_taken_for_the_end_of_the_line(app: Perdure, task: MakeTask, choice: MakeChoice, slow: None) -> None:
    task("plain").submit_many([(n,) for n in range(2)])
    child = choice()
    app.bulkheads.pause("normal", by="ann")
    assert child.claim(9) == []
    app.bulkheads.resume("normal")
    assert numbers(child.claim(9)) == [0, 1]


def test_a_slow_read_that_another_place_to_begin_makes_no_faster_is_not_avoided(
    app: Perdure, task: MakeTask, choice: MakeChoice, slow: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is slow, and not the dead rows: what comes back to an old place is found at once."""
    monkeypatch.setattr(module, "FASTER", 1e9)
    task("plain").submit_many([(n,) for n in range(3)])
    [elsewhere] = choice().claim(1)
    child = choice()
    assert numbers(child.claim(1)) == [1]
    assert numbers(child.claim(1)) == [2]
    app.ledger.jobs.settle(elsewhere, RELEASED)
    assert numbers(child.claim(1)) == [0]


# -- what fails in the middle ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [LedgerUnavailable("away"), RuntimeError("a bug")], ids=["outage", "bug"])
@pytest.mark.parametrize("where", ["lanes", "running_within_limits", "claim_within"])
def test_what_was_claimed_before_something_failed_is_not_forgotten(
    app: Perdure, task: MakeTask, choice: MakeChoice, monkeypatch: pytest.MonkeyPatch, where: str, error: Exception
) -> None:
    task("plain").submit_many([(n,) for n in range(3)])
    task("limited", limit=1).submit(9)
    child = choice()
    with monkeypatch.context() as broken:
        broken.setattr(app.ledger.jobs, where, _raising(error))
        with pytest.raises(type(error)):
            child.claim(5)
    assert numbers(child.claim(5))[:3] == [0, 1, 2]
    found = numbers(child.claim(5))
    assert set(found) <= {9}
    assert app.jobs.count() == {"running": 4}


def test_a_claim_whose_commit_was_lost_is_not_forgotten(
    app: Perdure, task: MakeTask, choice: MakeChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    task("plain").submit_many([(n,) for n in range(3)])
    child = choice()
    _lose_answers(app, monkeypatch, 2)
    with pytest.raises(LedgerUnavailable):
        child.claim(2)
    assert numbers(child.claim(2)) == [0, 1]
    assert numbers(child.claim(2)) == [2]


# -- ahead -------------------------------------------------------------------------------------------------------------


def test_behind_a_job_that_runs_the_next_one_is_claimed(app: Perdure, task: MakeTask, choice: MakeChoice) -> None:
    task("plain").submit_many([(n,) for n in range(3)])
    child = choice()
    [runs] = child.claim(1)
    assert numbers(child.claim_ahead(runs)) == [1]
    assert numbers(child.claim(1)) == [2]


def test_nothing_is_claimed_ahead_while_others_wait_in_lanes_of_their_own(
    app: Perdure, task: MakeTask, choice: MakeChoice
) -> None:
    plain, guarded = task("plain"), task("guarded", breaker="b")
    plain.submit_many([(n,) for n in range(3)])
    child = choice()
    [runs] = child.claim(1)
    [following] = child.claim_ahead(runs)
    guarded.submit(9)
    assert child.claim_ahead(following) == []
    assert 9 in numbers(child.claim(1))


def test_jobs_in_lanes_that_no_task_has_any_more_are_not_passed_by_for_ever(
    app: Perdure, task: MakeTask, choice: MakeChoice
) -> None:
    task("plain").submit_many([(n,) for n in range(2 * module.SELDOM)])
    child = choice()
    [runs] = child.claim(1)
    app.ledger.jobs.submit([job(99, task="plain", breaker="b")])
    found = [claims for _ in range(module.SELDOM) if not (claims := child.claim_ahead(runs))]
    assert found
    assert 99 in numbers(child.claim(1))


def test_a_claim_ahead_that_is_repeated_does_not_find_the_job_that_runs(
    app: Perdure, task: MakeTask, choice: MakeChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    task("plain").submit_many([(n,) for n in range(2)])
    child = choice()
    [runs] = child.claim(1)
    with monkeypatch.context() as broken:
        _lose_answers(app, broken, 1)
        assert numbers(child.claim_ahead(runs)) == [1]
    assert child.claim_ahead(runs) == []


def test_while_a_claim_is_in_doubt_nothing_is_claimed_ahead(
    app: Perdure, task: MakeTask, choice: MakeChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    task("plain").submit_many([(n,) for n in range(3)])
    child = choice()
    [runs] = child.claim(1)
    with monkeypatch.context() as broken:
        _lose_answers(app, broken, 2)
        with pytest.raises(LedgerUnavailable):
            child.claim_ahead(runs)
    assert child.in_doubt
    assert child.claim_ahead(runs) == []
    done(app, [runs])
    assert numbers(child.claim(1)) == [1]


def _lose_answers(app: Perdure, patch: pytest.MonkeyPatch, count: int) -> None:
    """Have the next answers of the ledger lost, with the connection."""
    run, left = app.ledger.database._run, [count]

    def lossy(work: Any, *how: Any) -> Any:
        result = run(work, *how)
        if left[0]:
            left[0] -= 1
            raise OperationalError("COMMIT", {}, Exception("connection lost"), connection_invalidated=True)
        return result

    patch.setattr(app.ledger.database, "_run", lossy)


def _raising(error: Exception) -> Callable[..., Any]:
    def fail(*_args: Any, **_kwargs: Any) -> Any:
        raise error

    return fail
