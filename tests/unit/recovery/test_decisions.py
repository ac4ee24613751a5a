"""The pure decisions of recovery: judging workers, stopping jobs, deadlines."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from perdure.model.records import Claim
from perdure.model.retry_policy import RetryPolicy
from perdure.model.settlement import Ended, Stop, decide, stop_by_force, time_limit
from perdure.model.states import DeadReason, Transition
from perdure.model.worker_health import WorkerState, judge

H, S, F, G = WorkerState.HEALTHY, WorkerState.SUSPECT, WorkerState.FAILED, WorkerState.GONE
CLAIM = Claim(
    job_id="j", fence=1, task="t", bulkhead="normal", args="[]", kwargs="{}", attempt=1, crashes=0, snoozes=0, priority=5,
    idempotency_key=None, replay_of=None, tags=None, worker_name="w", worker_pid=1, created_at=0.0, queued_at=0.0,
    started_at=1000.0, first_started_at=1000.0, deadline=None, timeout=None, checkpoint_seq=0,
)  # fmt: skip
STEADY = RetryPolicy(max_retries=3, base=10, max_delay=10, jitter=False)


@pytest.mark.parametrize(
    ("state", "silence", "verdict"),
    [(H, 1.9, H), (H, 2.1, S), (S, 4.9, S), (S, 5.1, F), (H, 5.1, F), (S, 0.1, H), (F, 0.1, F), (G, 99.0, G)],
)
def test_judge(state: WorkerState, silence: float, verdict: WorkerState) -> None:
    assert judge(state, silence, lease_ttl=5.0) is verdict


@pytest.mark.parametrize(("state", "silence", "verdict"), [(H, 1.9, H), (H, 2.1, F), (S, 2.1, F), (G, 99.0, G)])
def test_judge_of_one_that_hung_up(state: WorkerState, silence: float, verdict: WorkerState) -> None:
    assert judge(state, silence, lease_ttl=5.0, hung_up=True) is verdict


@pytest.mark.parametrize(
    ("elapsed", "cancelled_for", "limit", "stop"),
    [
        (14.9, None, 10.0, None),
        (15.1, None, 10.0, Stop.TIMEOUT),
        (999.0, None, None, None),
        (1.0, 0.9, None, None),
        (1.0, 1.1, None, Stop.CANCELLED),
        (15.1, 1.1, 10.0, Stop.CANCELLED),
    ],
)
def test_stop_by_force(elapsed: float, cancelled_for: float | None, limit: float | None, stop: Stop | None) -> None:
    assert stop_by_force(elapsed, limit, cancelled_for, grace=5.0, cancel_grace=1.0) is stop


@pytest.mark.parametrize(
    ("of_job", "of_task", "deadline", "limit"),
    [
        (None, None, None, None),
        (None, 30.0, None, 30.0),
        (5.0, 30.0, None, 5.0),
        (None, 30.0, 1010.0, 10.0),
        (None, None, 1010.0, 10.0),
        (None, 5.0, 1010.0, 5.0),
        (None, None, 990.0, 0.001),
    ],
)
def test_time_limit(of_job: float | None, of_task: float | None, deadline: float | None, limit: float | None) -> None:
    assert time_limit(replace(CLAIM, timeout=of_job, deadline=deadline), of_task) == limit


def test_retry_that_would_start_after_the_deadline_is_not_made() -> None:
    settlement = decide(Ended(error=ValueError("no"), ran=5.0), replace(CLAIM, deadline=1014.0), STEADY)

    assert settlement.transition is Transition.DIE
    assert settlement.death is not None
    assert settlement.death.reason is DeadReason.EXPIRED
    assert decide(Ended(error=ValueError("no"), ran=5.0), replace(CLAIM, deadline=1016.0), STEADY).delay == 10


def test_elapsed_time_is_counted_on_the_ledger_s_clock() -> None:
    bounded = replace(STEADY, max_elapsed=20.0)

    assert decide(Ended(error=ValueError("no"), ran=9.0), CLAIM, bounded).transition is Transition.RETRY
    assert decide(Ended(error=ValueError("no"), ran=11.0), CLAIM, bounded).transition is Transition.DIE
