"""How an attempt's end is settled: a pure function of what happened, the policy and the job's counters."""

from __future__ import annotations

import random
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from perdure.errors import CommitWasInDoubt, HandedBack, InvalidArguments, JobCancelled, LedgerUnavailable
from perdure.model.clock import LONGEST_DELAY
from perdure.model.outcomes import Discard, RetryAfter, Snooze
from perdure.model.records import Claim, Death, Settlement
from perdure.model.retry_policy import RetryPolicy
from perdure.model.states import DeadReason, Outcome, Transition
from perdure.model.storage_errors import MissingKey, StoreUnavailable
from perdure.model.text import described
from perdure.model.text.fingerprint import fingerprint

#: Longest wait of a job for a store that is away or a key that is missing, in seconds.
LONGEST_WAIT = 60


#: The platform's faults and not the job's: a ledger or storage that is away, a missing key, a commit in doubt.
_PLATFORM = (LedgerUnavailable, StoreUnavailable, MissingKey, CommitWasInDoubt)


class TimeLimitReached(Exception):
    """The job ran longer than its ``timeout`` and was interrupted."""


class Ended(Struct, frozen=True):
    """How the function ended: with a result (already JSON) or an error. ``ran`` is in seconds."""

    result: str | None = None
    error: BaseException | None = None
    ran: float = 0.0


def decide(ended: Ended, claim: Claim, policy: RetryPolicy, rng: random.Random | None = None) -> Settlement:
    """Return how to settle an attempt, with how long it ran.

    The time is the ledger's: the claim's ``started_at`` plus what the attempt took, so that a worker's clock may be wrong.

    Args:
        ended: What the function returned or raised.
        claim: The attempt's claim with the job's counters.
        policy: The task's retry policy.
        rng: Randomness for the backoff's jitter.
    """
    now = claim.started_at + ended.ran
    error = ended.error
    if error is None:
        return Settlement(Transition.SUCCEED, Outcome.SUCCEEDED, result=ended.result, ran=ended.ran)
    return replace(_after_error(error, claim, policy, now, rng), ran=ended.ran)


def _after_error(
    error: BaseException, claim: Claim, policy: RetryPolicy, now: float, rng: random.Random | None
) -> Settlement:
    kind = type(error)  # isinstance() would believe what the error says of its class
    if issubclass(kind, (Snooze, *_PLATFORM)):
        described_as = _described(error, trace=False)
        delay = _snooze(error, claim)
        return Settlement(Transition.SNOOZE, Outcome.SNOOZED, burns=False, delay=delay, **described_as)
    if issubclass(kind, HandedBack):
        return Settlement(Transition.HAND_BACK, Outcome.HANDED_BACK, burns=False, error=described.text(error))
    if issubclass(kind, JobCancelled):
        return Settlement(Transition.CANCEL, Outcome.CANCELLED, error=described.text(error))
    if issubclass(kind, (Discard, InvalidArguments)):
        return _death(error, DeadReason.DISCARDED, Outcome.FAILED)
    return _retry_or_death(error, claim, policy, now, rng)


def blamed(settlement: Settlement, breaker: str | None) -> Settlement:
    """Return a settlement whose dead letter names the circuit breaker that it died of, if it can have died of one.

    Args:
        settlement: How the attempt ends.
        breaker: The circuit breaker that guarded it, if any.
    """
    death = settlement.death
    if breaker is None or death is None or death.reason not in (DeadReason.EXHAUSTED, DeadReason.TIMEOUT):
        return settlement
    return replace(settlement, death=replace(death, breaker=breaker))


def lost(claim: Claim, max_crashes: int, why: str, outcome: Outcome = Outcome.CRASHED) -> Settlement:
    """Return how to settle an attempt whose process is gone: again, or as a poison pill.

    Args:
        claim: The claim that the lost process held.
        max_crashes: Crashes at which the job is given up.
        why: What is known of the end (signal, exit code, missed heartbeats).
        outcome: ``crashed``, or ``timeout`` when the hard time limit killed it.
    """
    described: dict[str, Any] = {"error_type": "WorkerLost", "error": why}
    if claim.crashes + 1 < max_crashes:
        return Settlement(Transition.LOSE, outcome, **described)
    death = Death(DeadReason.CRASHED, fingerprint(claim.task, "WorkerLost", "crashed", []))
    return Settlement(Transition.DIE, outcome, death=death, **described)


def handed_back(claim: Claim, times: int, most: int, why: str) -> Settlement:
    """Return how to settle an attempt that a drain cut short: again, or as a job that no worker lives long enough for.

    No attempt burns, since the job is not to blame; but one that begins anew each time would do so for ever.

    Args:
        claim: The claim that the draining worker held.
        times: How often it was cut short with nothing of its work kept, this time included; 0 when something was.
        most: How often at most.
        why: What the attempt's record says.
    """
    told = (
        f"{why}, and begins anew, {times} of at most {most} times: save checkpoints, or raise drain_timeout"
        if times
        else why
    )
    if times < most:
        return Settlement(Transition.HAND_BACK, Outcome.HANDED_BACK, burns=False, error=told)
    death = Death(DeadReason.HANDED_BACK, fingerprint(claim.task, "HandedBack", "handed back", []))
    return Settlement(Transition.DIE, Outcome.HANDED_BACK, burns=False, error_type="HandedBack", error=told, death=death)


def unfit(claim: Claim, max_crashes: int, error: BaseException) -> Settlement:
    """Return how to settle an attempt that found its node unfit: as if its process were gone."""
    settlement = lost(claim, max_crashes, described.text(error))
    return replace(settlement, error_type=described.type_name(type(error)))


class Stop(StrEnum):
    """Why a running job is ended by force."""

    TIMEOUT = "timeout"
    CANCELLED = "cancelled"


def stop_by_force(
    elapsed: float, limit: float | None, cancelled_for: float | None, grace: float, cancel_grace: float
) -> Stop | None:
    """Return whether a running job has to be ended by force, and why.

    Args:
        elapsed: Seconds that it runs.
        limit: Seconds that it may run; None for no bound. It was interrupted then, and did not end.
        cancelled_for: Seconds since it was asked to stop; None when it was not.
        grace: Seconds that an interrupted job gets to end.
        cancel_grace: Seconds that a cancelled job gets to stop by itself.
    """
    if cancelled_for is not None and cancelled_for > cancel_grace:
        return Stop.CANCELLED
    if limit is not None and elapsed > limit + grace:
        return Stop.TIMEOUT
    return None


def time_limit(claim: Claim, timeout: float | None) -> float | None:
    """Return the seconds that an attempt may run: the job's or the task's timeout, and never past the job's deadline."""
    of_attempt = claim.timeout or timeout
    if claim.deadline is None:
        return of_attempt
    until_deadline = max(claim.deadline - claim.started_at, 0.001)
    return until_deadline if of_attempt is None else min(of_attempt, until_deadline)


def _snooze(error: BaseException, claim: Claim) -> float:
    """Return the seconds that a job waits which loses no retry: as long as it asked for.

    What is the platform's fault it waits out visibly, from 1 to 60 s, and after a commit in doubt not at all.
    """
    if issubclass(type(error), CommitWasInDoubt):
        return 0.0
    asked = _asked(error) if issubclass(type(error), Snooze) else None
    return float(min(LONGEST_WAIT, 2 ** min(claim.snoozes, 10))) if asked is None else asked


def _asked(error: BaseException) -> float | None:
    """Return the delay that an error asks for; None when a class made from ``Snooze`` or ``RetryAfter`` has lost it."""
    try:
        return min(max(0.0, float(error.seconds)), LONGEST_DELAY)  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001 - whatever the attribute is, the attempt must be settled
        return None


def retries_used(claim: Claim) -> int:
    """Return how many retries the job has had, this attempt included: crashes are not the job's fault."""
    return claim.attempt - claim.crashes - 1


def _retry_or_death(
    error: BaseException, claim: Claim, policy: RetryPolicy, now: float, rng: random.Random | None
) -> Settlement:
    timed_out = issubclass(type(error), TimeLimitReached)
    outcome = Outcome.TIMEOUT if timed_out else Outcome.FAILED
    asks = issubclass(type(error), RetryAfter)
    if not (asks or timed_out or _is_worth_it(error, policy)):
        return _death(error, DeadReason.DISCARDED, outcome)
    used = retries_used(claim)
    if used >= policy.max_retries:
        return _death(error, DeadReason.TIMEOUT if timed_out else DeadReason.EXHAUSTED, outcome)
    asked = _asked(error) if asks else None
    delay = policy.delay(used + 1, rng) if asked is None else asked
    if claim.deadline is not None and now + delay >= claim.deadline:
        return _death(error, DeadReason.EXPIRED, outcome)
    if policy.max_elapsed is not None and now + delay - claim.first_started_at > policy.max_elapsed:
        return _death(error, DeadReason.EXHAUSTED, outcome)
    return Settlement(Transition.RETRY, outcome, delay=delay, **_described(error))


def _is_worth_it(error: BaseException, policy: RetryPolicy) -> bool:
    try:
        return policy.retries(error)
    except Exception:  # noqa: BLE001 - a type with a __subclasscheck__ of its own; it is retried like any other
        return True


def _death(error: BaseException, reason: DeadReason, outcome: Outcome) -> Settlement:
    mark = fingerprint("", described.type_name(type(error)), described.text(error), described.frames(error))
    return Settlement(Transition.DIE, outcome, death=Death(reason, mark), **_described(error))


def _described(error: BaseException, *, trace: bool = True) -> dict[str, Any]:
    name = described.type_name(type(error))
    return {
        "error_type": name,
        "error": described.text(error) or name,
        "traceback": described.trace(error) if trace else None,
    }
