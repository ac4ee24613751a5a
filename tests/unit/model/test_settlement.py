"""How each end of an attempt is settled: a pure function, so every case is one line."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure import Discard, JobCancelled, RetryAfter, RetryPolicy, Snooze
from perdure.errors import CommitWasInDoubt, HandedBack, InvalidArguments, LedgerUnavailable
from perdure.model.records import Death, Settlement
from perdure.model.settlement import Ended, TimeLimitReached, blamed, decide, lost, retries_used
from perdure.model.states import DeadReason, JobState, Outcome, Transition, target
from perdure.model.storage_errors import MissingKey, StoreUnavailable
from support.claims import NOW, claim, raised

POLICY = RetryPolicy(max_retries=2, base=1, max_delay=30, jitter=False)


def ending(error: BaseException, attempt: int = 1, policy: RetryPolicy = POLICY, **changes: Any) -> Settlement:
    return decide(Ended(error=error), claim(attempt, **changes), policy, random.Random(1))


def test_a_result_succeeds() -> None:
    settlement = decide(Ended(result="7"), claim(), POLICY)
    assert settlement == Settlement(Transition.SUCCEED, Outcome.SUCCEEDED, result="7", ran=0.0)


@pytest.mark.parametrize(("attempt", "delay"), [(1, 1.0), (2, 2.0)])
def test_a_failure_is_retried_after_a_backoff(attempt: int, delay: float) -> None:
    settlement = ending(raised(ValueError("no")), attempt)
    assert (settlement.transition, settlement.outcome, settlement.burns) == (Transition.RETRY, Outcome.FAILED, True)
    assert settlement.delay == delay
    assert (settlement.error_type, settlement.error, settlement.death) == ("ValueError", "no", None)
    assert "ValueError: no" in (settlement.traceback or "")


def test_when_retries_have_run_out_the_job_dies_exhausted() -> None:
    settlement = ending(raised(ValueError("no")), 3)
    assert (settlement.transition, settlement.outcome) == (Transition.DIE, Outcome.FAILED)
    assert settlement.death is not None
    assert settlement.death.reason is DeadReason.EXHAUSTED
    assert len(settlement.death.fingerprint) == 16


def test_no_retries_means_none() -> None:
    assert ending(ValueError(), policy=RetryPolicy(max_retries=0)).transition is Transition.DIE


def test_crashes_do_not_count_as_retries() -> None:
    assert retries_used(claim(3, crashes=2)) == 0
    settlement = ending(ValueError(), 3, crashes=2)
    assert (settlement.transition, settlement.delay) == (Transition.RETRY, 1.0)


def test_an_error_that_is_not_worth_it_is_not_retried() -> None:
    policy = RetryPolicy(max_retries=2, retry_on=(OSError,), give_up_on=(FileNotFoundError,))
    assert ending(OSError(), policy=policy).transition is Transition.RETRY
    for error in (FileNotFoundError(), ValueError()):
        settlement = ending(error, policy=policy)
        assert settlement.transition is Transition.DIE
        assert settlement.death is not None
        assert settlement.death.reason is DeadReason.DISCARDED


def test_retry_after_chooses_the_delay_and_needs_no_worthiness() -> None:
    policy = RetryPolicy(max_retries=2, retry_on=(OSError,))
    settlement = ending(RetryAfter(17, "busy"), policy=policy)
    assert (settlement.transition, settlement.outcome, settlement.delay) == (Transition.RETRY, Outcome.FAILED, 17.0)
    assert settlement.burns
    assert ending(RetryAfter(17), 3, policy).transition is Transition.DIE


def test_a_snooze_burns_no_attempt_and_has_no_end() -> None:
    for attempt in (1, 3, 1000):
        settlement = ending(Snooze(5, "later"), attempt)
        assert (settlement.transition, settlement.outcome) == (Transition.SNOOZE, Outcome.SNOOZED)
        assert (settlement.burns, settlement.delay, settlement.error) == (False, 5.0, "later")
        assert settlement.traceback is None


@pytest.mark.parametrize(
    "error",
    [LedgerUnavailable("away"), MissingKey("key"), StoreUnavailable("store", "away")],
    ids=lambda error: type(error).__name__,
)
def test_the_platform_s_faults_burn_no_attempt(error: Exception) -> None:
    for snoozes, delay in ((0, 1.0), (3, 8.0), (10_000, 60.0)):
        settlement = ending(error, 3, snoozes=snoozes)
        assert (settlement.transition, settlement.burns, settlement.delay) == (Transition.SNOOZE, False, delay)
    assert ending(CommitWasInDoubt("commit"), 3, snoozes=9).delay == 0.0


def test_a_hand_back_burns_no_attempt() -> None:
    settlement = ending(HandedBack("drains"), 3)
    assert (settlement.transition, settlement.outcome) == (Transition.HAND_BACK, Outcome.HANDED_BACK)
    assert not settlement.burns


def test_a_cancel_is_a_cancel() -> None:
    settlement = ending(JobCancelled("stop"), 3)
    assert (settlement.transition, settlement.outcome) == (Transition.CANCEL, Outcome.CANCELLED)


@pytest.mark.parametrize("error", [Discard("why"), InvalidArguments("why")])
def test_giving_up_at_once(error: Exception) -> None:
    settlement = ending(error)
    assert settlement.transition is Transition.DIE
    assert settlement.death is not None
    assert settlement.death.reason is DeadReason.DISCARDED
    assert settlement.error == "why"


def test_a_time_limit_is_retried_whatever_the_policy_retries_on() -> None:
    policy = RetryPolicy(max_retries=1, retry_on=(OSError,))
    settlement = ending(TimeLimitReached("ran longer"), 1, policy)
    assert (settlement.transition, settlement.outcome) == (Transition.RETRY, Outcome.TIMEOUT)
    settlement = ending(TimeLimitReached("ran longer"), 2, policy)
    assert (settlement.transition, settlement.outcome) == (Transition.DIE, Outcome.TIMEOUT)
    assert settlement.death is not None
    assert settlement.death.reason is DeadReason.TIMEOUT


@pytest.mark.parametrize(("max_elapsed", "retried"), [(50.9, False), (51.0, True), (None, True)])
def test_no_retry_starts_after_max_elapsed(max_elapsed: float | None, retried: bool) -> None:
    policy = RetryPolicy(max_retries=9, base=1, max_delay=1, jitter=False, max_elapsed=max_elapsed)
    settlement = ending(ValueError(), policy=policy)  # the first attempt began 50 s ago, and the retry waits 1 s
    assert (settlement.transition is Transition.RETRY) == retried


@pytest.mark.parametrize("max_crashes", [1, 3])
def test_a_lost_job_runs_again_until_it_is_a_poison_pill(max_crashes: int) -> None:
    for crashes in range(max_crashes - 1):
        settlement = lost(claim(crashes + 1, crashes=crashes), max_crashes, "signal 9")
        assert (settlement.transition, settlement.outcome) == (Transition.LOSE, Outcome.CRASHED)
        assert target(settlement.transition) is JobState.QUEUED
        assert settlement.error == "signal 9"
    settlement = lost(claim(max_crashes, crashes=max_crashes - 1), max_crashes, "signal 9")
    assert (settlement.transition, settlement.outcome) == (Transition.DIE, Outcome.CRASHED)
    assert settlement.death is not None
    assert settlement.death.reason is DeadReason.CRASHED


def test_an_error_without_a_message_is_named_by_its_type() -> None:
    assert ending(ValueError()).error == "ValueError"


def test_the_type_of_a_library_error_has_its_module() -> None:
    assert ending(Discard("x")).error_type == "perdure.control.Discard"
    assert ending(KeyError("x")).error_type == "KeyError"


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_an_error_that_cannot_be_turned_into_text_is_settled_all_the_same() -> None:
    settlement = ending(raised(Unspeakable()), 3)
    assert settlement.transition is Transition.DIE
    assert "Unspeakable" in (settlement.error or "")


@given(
    attempt=st.integers(1, 50),
    crashes=st.integers(0, 49),
    max_retries=st.integers(0, 20),
    error=st.sampled_from([ValueError("x"), RetryAfter(3), Snooze(3), Discard("x"), HandedBack("x"), JobCancelled("x")]),
)
def test_every_end_is_settled_and_retries_never_exceed_the_policy(
    attempt: int, crashes: int, max_retries: int, error: Exception
) -> None:
    settlement = ending(error, attempt, RetryPolicy(max_retries=max_retries), crashes=min(crashes, attempt - 1))
    state = target(settlement.transition)
    assert (state is JobState.DEAD) == (settlement.death is not None)
    assert (state is JobState.RETRYING) == (settlement.delay is not None)
    if settlement.transition is Transition.RETRY:
        assert attempt - min(crashes, attempt - 1) - 1 < max_retries


@pytest.mark.parametrize("raising", [RetryAfter, Snooze])
@pytest.mark.parametrize(("asked", "given"), [(5, 5.0), (-5, 0.0), (0, 0.0), (float("nan"), 0.0)])
def test_delays_that_jobs_ask_for(raising: Any, asked: float, given: float) -> None:
    assert raising(asked).seconds == given


@pytest.mark.parametrize("raising", [RetryAfter, Snooze])
@pytest.mark.parametrize("asked", [float("inf"), 1e300])
def test_an_absurd_delay_stays_a_date(raising: Any, asked: float) -> None:
    from perdure.model.clock import to_datetime

    assert to_datetime(NOW + raising(asked).seconds) is not None


@pytest.mark.parametrize(
    ("reason", "breaker"),
    [(reason, "payments" if reason in (DeadReason.EXHAUSTED, DeadReason.TIMEOUT) else None) for reason in DeadReason],
)
def test_a_death_of_a_guarded_job_names_its_breaker(reason: DeadReason, breaker: str | None) -> None:
    settlement = Settlement(Transition.DIE, Outcome.FAILED, death=Death(reason, "f"))
    death = blamed(settlement, "payments").death
    assert death is not None
    assert death.breaker == breaker
    assert blamed(settlement, None) is settlement
