"""Writing jobs: once for each idempotency key, all or nothing."""

from __future__ import annotations

import json
import multiprocessing
import time
from typing import Any

import pytest
from sqlalchemy import text

from perdure.errors import IdempotencyConflict, JobNotFound
from perdure.ledger import Ledger
from perdure.model.ids import new_id
from perdure.model.new_job import Submitted
from perdure.model.states import JobState
from support.forks import in_children
from support.ledgers import at_once, claimed, claimer, job, submitted, try_claim
from support.waiting import wait_until


def test_a_submitted_job_is_queued_and_has_what_it_was_given(ledger: Ledger) -> None:
    new = job(1, "a", kwargs='{"b":2}', priority=3, tags={"tenant": "a", "run": "7"}, timeout=5.0, deadline=4e9)
    assert ledger.jobs.submit([new]) == [Submitted(new.id, JobState.QUEUED)]
    record = ledger.jobs.get(new.id)
    assert (record.state, record.task, record.bulkhead, record.priority) == ("queued", "tests.add", "normal", 3)
    assert (record.args, record.kwargs, record.tags) == ([1, "a"], {"b": 2}, {"tenant": "a", "run": "7"})
    assert (record.attempt, record.crashes, record.snoozes, record.fence) == (0, 0, 0, 0)
    assert record.created_at is not None
    assert abs(record.created_at.timestamp() - time.time()) < 60
    claim = claimed(ledger, new.id)
    assert (claim.timeout, claim.deadline, claim.tags) == (5.0, 4e9, '{"tenant":"a","run":"7"}')


def test_nothing_is_a_fine_number_of_jobs(ledger: Ledger) -> None:
    assert ledger.jobs.submit([]) == []


def test_many_are_written_in_their_order(ledger: Ledger) -> None:
    new = [job(number) for number in range(1500)]
    assert [result.id for result in ledger.jobs.submit(new)] == [one.id for one in new]
    assert ledger.jobs.count("state") == {"queued": 1500}


def test_what_is_submitted_together_comes_in_that_order_wherever_its_rows_lie(ledger: Ledger) -> None:
    leave_holes(ledger)
    kinds: list[dict[str, Any]] = [{"priority": 3}, {"priority": 5, "delay": 0.05}, {"priority": 7}]
    for numbers in (range(1000), range(1000, 1500), range(1500, 1501)):
        ledger.jobs.submit([job(number, **kind) for number in numbers for kind in kinds])
    found = claimed_in_line(ledger, 4503, at_once=100)
    assert all([number for number, level in found if level == kind["priority"]] == [*range(1501)] for kind in kinds)


def test_keys_change_no_order(ledger: Ledger) -> None:
    ledger.jobs.submit([job(number, idempotency_key=f"{7 * number % 10}") for number in range(10)])
    assert [number for number, _ in claimed_in_line(ledger, 10, at_once=3)] == [*range(10)]


def claimed_in_line(ledger: Ledger, count: int, at_once: int) -> list[tuple[int, int]]:
    """Claim some jobs at a time until there were so many, and return their first arguments and priorities."""
    found = list[tuple[int, int]]()

    def more() -> bool:
        claims = ledger.jobs.claim(claimer(ledger), at_once)
        found.extend((json.loads(claim.args)[0], claim.priority) for claim in claims)
        return len(found) >= count

    wait_until(more)
    return found


def leave_holes(ledger: Ledger) -> None:
    """Have PostgreSQL go on in the middle of its table, and then where there is room before that."""
    if ledger.database.engine.dialect.name == "postgresql":
        ledger.transact(lambda c: c.execute(text("TRUNCATE perdure_jobs")))
    ids = [result.id for result in ledger.jobs.submit([job(number, bulkhead="other") for number in range(2000)])]
    gone = [{"gone": one} for number, one in enumerate(ids) if (number % 7 == 0) == (number < 1000)]
    ledger.transact(lambda c: c.execute(text("DELETE FROM perdure_jobs WHERE id = :gone"), gone))
    if ledger.database.engine.dialect.name == "postgresql":
        with ledger.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM perdure_jobs"))
    submitted(ledger, "too wide for the holes of the first half" * 40, bulkhead="other")


def test_writing_the_same_jobs_again_changes_nothing(ledger: Ledger) -> None:
    new = [job(1, tags={"a": "b"}), job(2, idempotency_key="k")]
    first = ledger.jobs.submit(new)
    claimed(ledger, new[0].id)
    assert ledger.jobs.submit(new) == first
    assert ledger.jobs.get(new[0].id).state == "running"
    assert ledger.jobs.count("task") == {"tests.add": 2}


@pytest.mark.parametrize("when", [{"delay": 3600.0}, {"run_at": 4e9}])
def test_a_job_for_later_is_scheduled(ledger: Ledger, when: dict[str, float]) -> None:
    new = job(**when)
    assert ledger.jobs.submit([new]) == [Submitted(new.id, JobState.SCHEDULED)]
    record = ledger.jobs.get(new.id)
    assert record.state == "scheduled"
    assert record.run_at is not None
    assert record.run_at.timestamp() > time.time() + 3000
    assert try_claim(ledger, new.id) is None


@pytest.mark.parametrize("when", [{"run_at": 1.0}, {"delay": 1e-9}])
def test_a_moment_that_has_passed_is_now(ledger: Ledger, when: dict[str, float]) -> None:
    before, job_id, after = submitted(ledger), submitted(ledger, **when), submitted(ledger)
    assert ledger.jobs.get(job_id).state == "queued"
    # It has no place before others that were submitted earlier.
    assert [claim.job_id for claim in ledger.jobs.claim(claimer(ledger), 9)] == [before, job_id, after]


def test_a_key_gives_the_first_job_whatever_became_of_it(ledger: Ledger) -> None:
    first = submitted(ledger, 1, idempotency_key="k", tags={"a": "1"})
    assert ledger.jobs.submit([job(1, idempotency_key="k")]) == [Submitted(first, JobState.QUEUED, deduplicated=True)]
    ledger.jobs.cancel(first, "no more")
    [again] = ledger.jobs.submit([job(1, idempotency_key="k", tags={"a": "2"})])
    assert again == Submitted(first, JobState.CANCELLED, deduplicated=True)
    assert ledger.jobs.listing(tag=("a", "2")) == []
    assert ledger.jobs.count("state") == {"cancelled": 1}


def test_keys_belong_to_their_task(ledger: Ledger) -> None:
    first = submitted(ledger, 1, idempotency_key="k")
    assert submitted(ledger, 1, idempotency_key="k", task="tests.other") != first
    assert submitted(ledger, 1, idempotency_key="l") != first


def test_a_key_with_another_payload_is_a_conflict_and_writes_nothing(ledger: Ledger) -> None:
    first = submitted(ledger, 1, idempotency_key="k")
    with pytest.raises(IdempotencyConflict, match=f"'k' belongs to job {first}") as conflict:
        ledger.jobs.submit([job(7), job(2, idempotency_key="k", tags={"a": "b"}), job(8)])
    assert (conflict.value.task, conflict.value.key, conflict.value.job_id) == ("tests.add", "k", first)
    assert ledger.jobs.count("state") == {"queued": 1}
    assert ledger.jobs.listing(tag=("a", "b")) == []


def test_a_key_is_free_again_when_its_time_is_over(ledger: Ledger) -> None:
    first = submitted(ledger, 1, idempotency_key="k", idempotency_ttl=-1.0)
    second = submitted(ledger, 2, idempotency_key="k")
    assert second != first
    assert ledger.jobs.get(first).idempotency_key is None
    assert submitted(ledger, 2, idempotency_key="k") == second


def test_the_same_key_within_one_submit_is_one_job(ledger: Ledger) -> None:
    one, other = ledger.jobs.submit([job(1, idempotency_key="k"), job(1, idempotency_key="k")])
    assert one.id == other.id
    assert (one.deduplicated, other.deduplicated) == (False, True)


def test_threads_that_use_the_same_key_at_once_make_one_job(ledger: Ledger) -> None:
    for key in ("a", "b", "c"):
        results = at_once([lambda key=key: ledger.jobs.submit([job(1, idempotency_key=key)])[0]] * 8)  # type: ignore[misc]
        assert len({result.id for result in results}) == 1
        assert sorted(result.deduplicated for result in results) == [False] + [True] * 7
    assert ledger.jobs.count("state") == {"queued": 3}


def test_processes_that_use_the_same_key_at_once_make_one_job(ledger: Ledger) -> None:
    context = multiprocessing.get_context("fork")
    start = context.Barrier(8)

    def submit() -> tuple[str, bool]:
        start.wait(60)
        [result] = ledger.jobs.submit([job(1, idempotency_key="k")])
        return result.id, result.deduplicated

    results = in_children([submit] * 8, within=90)
    assert len({job_id for job_id, _ in results}) == 1
    assert sorted(deduplicated for _, deduplicated in results) == [False] + [True] * 7
    assert ledger.jobs.count("state") == {"queued": 1}


def test_submitting_in_the_callers_transaction(ledger: Ledger) -> None:
    new = job(1)
    with ledger.database.engine.connect() as connection:
        connection.begin()
        ledger.jobs.submit([new], connection)
        connection.rollback()
        with pytest.raises(JobNotFound, match=f"{new.id}.*perdure jobs list"):
            ledger.jobs.get(new.id)
        connection.begin()
        ledger.jobs.submit([new], connection)
        connection.commit()
    assert ledger.jobs.get(new.id).state == "queued"


def test_any_text_can_be_stored(ledger: Ledger) -> None:
    text = "naïve ☃ 💾 '; DROP TABLE jobs; --"
    job_id = submitted(ledger, text, tags={text[:60]: text}, idempotency_key=text)
    assert ledger.jobs.get(job_id).args == [text]
    assert [found.id for found in ledger.jobs.listing(tag=(text[:60], text))] == [job_id]


def test_depth_counts_no_further_than_its_bound(ledger: Ledger) -> None:
    ledger.jobs.submit([job(n) for n in range(5)] + [job(9, bulkhead="critical"), job(10, delay=60.0)])
    assert ledger.jobs.depth("normal", 100) == 5
    assert ledger.jobs.depth("normal", 3) == 3
    assert ledger.jobs.depth("background", 3) == 0


def test_depth_counts_every_lane_and_priority_and_never_more_than_is_due(ledger: Ledger) -> None:
    new = [
        job(priority=priority, limit_key=key, delay=delay)
        for priority in (0, 4, 9)
        for key in (None, "", "a", "b")
        for delay in (None, 60.0)
    ]
    ledger.jobs.submit(new)
    assert ledger.jobs.depth("normal", 100) == 12
    assert [ledger.jobs.depth("normal", bound) for bound in (1, 5, 11, 12, 13)] == [1, 5, 11, 12, 12]


def test_depth_counts_jobs_whose_time_has_come_and_those_in_every_lane(ledger: Ledger) -> None:
    ledger.jobs.submit([job(1, delay=0.01), job(2, breaker="b"), job(3, limit_key=""), job(4, replica_of=new_id())])
    wait_until(lambda: ledger.jobs.depth("normal", 100) == 4)
    claimed(ledger, ledger.jobs.listing()[-1].id)
    assert ledger.jobs.depth("normal", 100) == 3


def test_ids_sort_by_the_time_of_their_making() -> None:
    ids = [new_id() for _ in range(1000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 1000
