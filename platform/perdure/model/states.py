"""The states of a job and the one table of transitions between them. Pure data: no I/O, no clock."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """Where a job is in its life."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows this state by itself; an operator may take a cancel back."""
        return self in FINAL_STATES


class Transition(StrEnum):
    """What happens to a job.

    ``due`` brings a job's time forward; one whose time comes by itself is claimed as it stands. ``release`` gives a claimed
    job back whose function was not begun. ``restore`` takes a cancel back.
    """

    DUE = "due"
    CLAIM = "claim"
    SUCCEED = "succeed"
    RETRY = "retry"
    SNOOZE = "snooze"
    RELEASE = "release"
    HAND_BACK = "hand_back"
    LOSE = "lose"
    DIE = "die"
    CANCEL = "cancel"
    RESTORE = "restore"


class Outcome(StrEnum):
    """How one attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CRASHED = "crashed"
    TIMEOUT = "timeout"
    SNOOZED = "snoozed"
    HANDED_BACK = "handed_back"
    CANCELLED = "cancelled"
    LEASE_LOST = "lease_lost"


class DeadReason(StrEnum):
    """Why a job became a dead letter."""

    EXHAUSTED = "exhausted"
    DISCARDED = "discarded"
    CRASHED = "crashed"
    TIMEOUT = "timeout"
    NO_QUORUM = "no_quorum"
    UNKNOWN_TASK = "unknown_task"
    MALFORMED = "malformed"
    EXPIRED = "expired"
    HANDED_BACK = "handed_back"


FINAL_STATES = frozenset({JobState.SUCCEEDED, JobState.DEAD, JobState.CANCELLED})
WAITING_STATES = frozenset({JobState.SCHEDULED, JobState.QUEUED, JobState.RETRYING})

_S = JobState

#: ``TRANSITIONS[transition] = (states it may start from, state it leads to)``
TRANSITIONS: dict[Transition, tuple[frozenset[JobState], JobState]] = {
    Transition.DUE: (frozenset({_S.SCHEDULED, _S.RETRYING}), _S.QUEUED),
    Transition.CLAIM: (frozenset({_S.QUEUED, _S.SCHEDULED, _S.RETRYING}), _S.RUNNING),
    Transition.SUCCEED: (frozenset({_S.RUNNING}), _S.SUCCEEDED),
    Transition.RETRY: (frozenset({_S.RUNNING}), _S.RETRYING),
    Transition.SNOOZE: (frozenset({_S.RUNNING}), _S.RETRYING),
    Transition.RELEASE: (frozenset({_S.RUNNING}), _S.QUEUED),
    Transition.HAND_BACK: (frozenset({_S.RUNNING}), _S.QUEUED),
    Transition.LOSE: (frozenset({_S.RUNNING}), _S.QUEUED),
    Transition.DIE: (frozenset({_S.RUNNING, _S.QUEUED, _S.RETRYING, _S.SCHEDULED}), _S.DEAD),
    Transition.CANCEL: (frozenset({_S.SCHEDULED, _S.QUEUED, _S.RETRYING, _S.RUNNING}), _S.CANCELLED),
    Transition.RESTORE: (frozenset({_S.CANCELLED}), _S.QUEUED),
}


def sources(transition: Transition) -> tuple[str, ...]:
    """Return the states from which a transition may start, sorted."""
    return tuple(sorted(TRANSITIONS[transition][0]))


def target(transition: Transition) -> JobState:
    """Return the state to which a transition leads."""
    return TRANSITIONS[transition][1]


def allowed(state: JobState, transition: Transition) -> bool:
    """Return whether a transition may happen to a job in this state."""
    return state in TRANSITIONS[transition][0]
