"""What is counted for metrics is what is in the ledger: whatever ends a job counts it once, in the same transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

import pytest
from sqlalchemy import select, text

from perdure.ledger import Ledger
from perdure.ledger.schema import attempts, jobs
from perdure.model.metrics import NO_BUCKET, RECOVERY, RUN, SERVICE_CALLS, WAIT, WORKER_FAILURES, Count
from perdure.model.records import RELEASED, Death, Settlement
from perdure.model.states import DeadReason, Outcome, Transition
from support.ledgers import DIE, LOSE, RETRY, SUCCEED, at_once, claimed, running, submitted

Ended = Mapping[tuple[str, ...], int]


def states(ended: Ended) -> dict[str, int]:
    """Jobs that ended, by their final state."""
    found: Counter[str] = Counter()
    for (_, _, _, state, _), count in ended.items():
        if state in ("succeeded", "dead", "cancelled"):
            found[state] += count
    return dict(found)


def outcomes(ended: Ended) -> dict[str, int]:
    """Attempts that ended, by their outcome."""
    found: Counter[str] = Counter()
    for (_, _, outcome, _, _), count in ended.items():
        if outcome:
            found[outcome] += count
    return dict(found)


def of_the_tables(ledger: Ledger) -> tuple[dict[str, int], dict[str, int]]:
    """What :func:`states` and :func:`outcomes` should say."""
    with ledger.transaction() as connection:
        final = Counter(connection.execute(select(jobs.c.state).where(jobs.c.finished_at.is_not(None))).scalars())
        return dict(final), dict(Counter(connection.execute(select(attempts.c.outcome)).scalars()))


def agree(ledger: Ledger) -> None:
    ended = ledger.counts().ended
    assert (states(ended), outcomes(ended)) == of_the_tables(ledger)


def test_each_end_of_a_job_is_counted_once(ledger: Ledger) -> None:
    ledger.jobs.settle(running(ledger), SUCCEED)
    ledger.jobs.settle(running(ledger), RETRY)
    ledger.jobs.settle(running(ledger), LOSE)
    ledger.jobs.settle(running(ledger), DIE)
    ledger.jobs.cancel(submitted(ledger), "no longer wanted")
    expired = submitted(ledger, deadline=1.0)
    assert [event.job_id for event in ledger.jobs.bury_expired(10)] == [expired]
    claim = running(ledger)
    ledger.jobs.cancel(claim.job_id, "asked to stop")  # it runs: nothing has ended yet
    agree(ledger)
    ledger.jobs.settle(claim, RELEASED)  # it had not begun, and does not begin any more
    ledger.jobs.settle(running(ledger), RELEASED)
    agree(ledger)
    assert states(ledger.counts().ended) == {"succeeded": 1, "dead": 2, "cancelled": 2}
    assert outcomes(ledger.counts().ended) == {"succeeded": 1, "failed": 2, "crashed": 1}


def test_a_job_that_was_to_wait_and_was_cancelled_meanwhile_counts_as_cancelled(ledger: Ledger) -> None:
    claims = [running(ledger, number) for number in range(4)]
    for claim in claims[:2]:
        ledger.jobs.cancel(claim.job_id, "no longer wanted")
    ledger.jobs.settle_all([(claim, RETRY) for claim in claims[:3]] + [(claims[3], RELEASED)])
    agree(ledger)
    assert ledger.counts().ended == {
        ("tests.add", "normal", "failed", "cancelled", ""): 2,
        ("tests.add", "normal", "failed", "retrying", ""): 1,
    }


def test_a_settlement_that_is_stale_or_repeated_counts_nothing(ledger: Ledger) -> None:
    claim = running(ledger)
    ledger.jobs.settle(claim, SUCCEED)
    ledger.jobs.settle(claim, SUCCEED)
    stale, fresh = running(ledger), running(ledger)
    ledger.jobs.settle(stale, LOSE)
    lost = ledger.jobs.settle_all([(stale, SUCCEED), (fresh, SUCCEED)]).lost
    assert list(lost) == [stale.job_id]
    agree(ledger)


def test_a_slice_is_counted_in_few_rows(ledger: Ledger) -> None:
    claims = [running(ledger, number) for number in range(30)]
    ledger.jobs.settle_all([(claim, Settlement(Transition.SUCCEED, Outcome.SUCCEEDED, ran=0.002)) for claim in claims])
    with ledger.transaction() as connection:
        rows = connection.execute(text("SELECT name, count FROM perdure_counts WHERE name = 'ended'")).all()
    assert sum(count for _, count in rows) == 30
    assert len(rows) <= 8  # by how long they had waited, in buckets
    runs = {one.place: one for one in ledger.counts().counts if one.name == RUN.name}
    assert {place: one.count for place, one in runs.items()} == {RUN.place(0.002): 30}
    assert runs[RUN.place(0.002)].sum == pytest.approx(0.06)
    waits = [one for one in ledger.counts().counts if one.name == WAIT.name]
    assert sum(one.count for one in waits) == 30


def test_what_is_added_up_is_the_same(ledger: Ledger) -> None:
    def counted() -> tuple[Ended, dict[tuple[str, tuple[str, ...], int], tuple[int, float]]]:
        reading = ledger.counts()
        return reading.ended, {(c.name, c.labels, c.place): (c.count, round(c.sum, 6)) for c in reading.counts}

    for settlement in (SUCCEED, RETRY, DIE):
        ledger.jobs.settle(running(ledger), settlement)
    before = counted()
    assert ledger.add_up_counts(enough=5.0, full=False)
    assert counted() == before
    assert not ledger.add_up_counts(enough=5.0, full=False)  # somebody has just done it
    ledger.jobs.settle(running(ledger), SUCCEED)
    assert ledger.add_up_counts(enough=0.0, full=False)
    agree(ledger)
    with ledger.transaction() as connection:
        assert connection.execute(text("SELECT count(*) FROM perdure_counts")).scalar_one() == 0


def test_several_add_up_at_once_while_jobs_end(ledger: Ledger) -> None:
    claims = [running(ledger, number) for number in range(12)]
    settling: list[Callable[[], object]] = [partial(ledger.jobs.settle, claim, SUCCEED) for claim in claims]
    folding: list[Callable[[], object]] = [partial(ledger.add_up_counts, enough=0.0, full=True)] * 4
    at_once([*settling[:6], *folding, *settling[6:]])
    agree(ledger)


def test_a_transaction_that_came_very_late_is_found_by_a_full_look(ledger: Ledger) -> None:
    ledger.count([Count(SERVICE_CALLS.name, ("mail", "ok"), 2)])
    ledger.add_up_counts(enough=0.0, full=False)
    ledger.count([Count(SERVICE_CALLS.name, ("mail", "ok"), 1)])
    with ledger.transaction() as connection:
        connection.execute(text("UPDATE perdure_counts SET at = at - 3600"))
    ledger.add_up_counts(enough=0.0, full=False)
    assert [one.count for one in ledger.counts().counts] == [2]
    ledger.add_up_counts(enough=0.0, full=True)
    assert ledger.counts().counts == [Count(SERVICE_CALLS.name, ("mail", "ok"), 3, 0.0, NO_BUCKET)]


def test_what_waits_and_runs_is_read_at_the_same_moment(ledger: Ledger) -> None:
    ledger.jobs.settle(running(ledger), SUCCEED)
    running(ledger)
    submitted(ledger)
    submitted(ledger, delay=3600.0)
    submitted(ledger, bulkhead="critical")
    reading = ledger.counts()
    assert {name: count for name, (count, _) in reading.queued.items()} == {"normal": 1, "critical": 1}
    assert reading.queued["normal"][1] >= 0.0
    assert reading.waiting == {"normal": 1}
    assert reading.running == {("tests.add", "normal"): 1}


def test_a_recovery_is_timed_from_the_last_sign_of_life(ledger: Ledger) -> None:
    def recoveries() -> list[Count]:
        return [one for one in ledger.counts().counts if one.name == RECOVERY.name]

    worker = {"id": "w-1", "name": "w-1", "bulkhead": "normal", "host": "h", "pid": 1, "concurrency": 1}
    ledger.workers.register({**worker, "lease_ttl": 5.0, "lock_path": None, "life_line": None})
    claim = running(ledger, worker="w-1")
    with ledger.transaction() as connection:  # it has been silent for 40 s
        connection.execute(text("UPDATE perdure_workers SET heartbeat_at = heartbeat_at - 40"))
    ledger.workers.change_state("w-1", "failed", "no heartbeat")
    ledger.jobs.settle(claim, LOSE)
    assert recoveries() == []
    again = claimed(ledger, claim.job_id, worker="w-2")
    ledger.jobs.settle(again, RETRY)
    [one] = recoveries()
    assert (one.labels, one.count, one.place) == (("normal",), 1, RECOVERY.place(40.1))
    assert 40.0 <= one.sum < 100.0
    assert [c.count for c in ledger.counts().counts if c.name == WORKER_FAILURES.name] == [1]
    ledger.jobs.bring_forward(claim.job_id)
    ledger.jobs.settle(claimed(ledger, claim.job_id, worker="w-2"), SUCCEED)  # no process died before this attempt
    assert len(recoveries()) == 1


def test_a_message_that_is_no_job_is_counted_without_the_task_that_it_names(ledger: Ledger) -> None:
    letter = {"id": "l-1", "job_id": None, "task": "anything", "bulkhead": "normal", "fingerprint": "f" * 16}
    ledger.letters.quarantine({**letter, "reason": DeadReason.MALFORMED.value, "error_type": "malformed", "error": "no"})
    assert ledger.counts().ended == {("", "normal", "", "", "malformed"): 1}


def test_a_death_is_counted_by_its_reason(ledger: Ledger) -> None:
    death = Death(DeadReason.CRASHED, "f" * 16)
    ledger.jobs.settle(running(ledger), Settlement(Transition.DIE, Outcome.CRASHED, error="killed", death=death))
    assert ledger.counts().ended == {("tests.add", "normal", "crashed", "dead", "crashed"): 1}
