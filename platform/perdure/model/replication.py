"""Pure logic of replicated execution: majorities of results, and epochs that fence off an old primary.

Active replication runs the same deterministic work on several members and takes the result of the majority (Schneider
1990, *Implementing fault-tolerant services using the state machine approach*): with n members up to (n - 1) // 2 may be
lost or give wrong results. Passive replication (primary and backup) runs it on one and replicates; a member accepts
operations of the newest epoch that it knows only, so what an old primary sends after a promotion has no effect.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

from perdure.errors import PerdureError


class NoQuorum(PerdureError):
    """No majority of the members agrees, and none can any more."""


class Fenced(PerdureError):
    """An operation of an old epoch was refused: another primary was promoted meanwhile."""


class Answer(Struct, frozen=True):
    """What one member gave: a result, or the error that it failed with. A failed member votes for nothing."""

    result: Any = None
    error: str | None = None


class VerdictKind(StrEnum):
    """Whether there is a majority."""

    MAJORITY = "majority"
    UNDECIDED = "undecided"
    NO_QUORUM = "no_quorum"


class Verdict(Struct, frozen=True):
    """What the answers say.

    ``agreeing`` gave the majority's result, ``disagreeing`` another one (corrupt or Byzantine members), ``failed``
    none.
    """

    kind: VerdictKind
    result: Any = None
    agreeing: tuple[str, ...] = ()
    disagreeing: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


def more_than_half(n: int) -> int:
    """Return how many of ``n`` members are a majority; two majorities share a member."""
    return n // 2 + 1


def canonical(result: Any) -> str:
    """Return the form in which results are compared: JSON with sorted keys, so that 1 is not 1.0 and not true.

    Raises:
        TypeError, ValueError: the result has no JSON form.
    """
    return json.dumps(result, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def majority(answers: Mapping[str, Answer], n: int) -> Verdict:
    """Return whether more than half of all ``n`` members gave the same result.

    Half of those that answered is not enough: the missing ones might all say otherwise. The verdict is ``NO_QUORUM`` as
    soon as no result can reach a majority, and ``UNDECIDED`` while one can.

    Args:
        answers: what came so far, by member.
        n: how many members were asked.

    Raises:
        ValueError: more answers than members.
    """
    if len(answers) > n or n < 1:
        raise ValueError(f"{len(answers)} answers of {n} members")
    votes = {name: canonical(answer.result) for name, answer in answers.items() if answer.error is None}
    failed = tuple(sorted(name for name, answer in answers.items() if answer.error is not None))
    counts = Counter(votes.values())
    best, count = max(counts.items(), key=lambda item: item[1], default=("", 0))
    needed = more_than_half(n)
    if count >= needed:
        agreeing = tuple(sorted(name for name, vote in votes.items() if vote == best))
        disagreeing = tuple(sorted(name for name, vote in votes.items() if vote != best))
        return Verdict(VerdictKind.MAJORITY, answers[agreeing[0]].result, agreeing, disagreeing, failed)
    missing = n - len(answers)
    kind = VerdictKind.UNDECIDED if count + missing >= needed else VerdictKind.NO_QUORUM
    return Verdict(kind, disagreeing=tuple(sorted(votes)) if len(counts) > 1 else (), failed=failed)


class ReplicaState(Struct, frozen=True):
    """How far a member of a primary-backup group is: the newest epoch that it knows and the last operation it applied.

    ``sequence`` counts operations over all epochs; ``applied_epoch`` is the epoch of the last one.
    """

    epoch: int = 0
    applied_epoch: int = 0
    sequence: int = 0


class Admission(StrEnum):
    """What a member does with a replicated operation."""

    APPLY = "apply"
    DUPLICATE = "duplicate"
    RESYNC = "resync"
    """Its history is not the primary's: operations are missing, or it has some that nobody else has. It must take the
    primary's history (:func:`synced`) before it goes on; what it had beyond was never acknowledged by a majority."""


def admit(state: ReplicaState, epoch: int, sequence: int, previous_epoch: int) -> Admission:
    """Return what to do with operation ``sequence`` that the primary of ``epoch`` sent.

    An operation applies only on top of the one that the primary has before it, told by its epoch. Without that check an
    old primary that wrote alone, and came back as a backup, would keep its own operations under the new one's (Raft's
    log matching, Ongaro and Ousterhout 2014, 5.3).

    Args:
        state: this member's.
        epoch: the sender's epoch.
        sequence: the operation's number over all epochs, from 1.
        previous_epoch: the epoch of operation ``sequence - 1`` at the sender; 0 for the first.

    Raises:
        Fenced: the epoch is older than the newest that this member knows.
    """
    if epoch < state.epoch:
        raise Fenced(
            f"operation {sequence} of epoch {epoch} refused: epoch {state.epoch} has begun, so its sender is no longer "
            "the primary; it must stop writing and join as a backup"
        )
    if sequence == state.sequence + 1 and previous_epoch == state.applied_epoch:
        return Admission.APPLY
    if sequence <= state.sequence and epoch == state.applied_epoch:
        return Admission.DUPLICATE
    return Admission.RESYNC


def synced(state: ReplicaState, primary: ReplicaState) -> ReplicaState:
    """Return the state after taking over the primary's whole history."""
    return ReplicaState(max(state.epoch, primary.epoch), primary.applied_epoch, primary.sequence)


def applied(state: ReplicaState, epoch: int, sequence: int) -> ReplicaState:
    """Return the state after applying an operation that :func:`admit` let through."""
    return ReplicaState(epoch=max(epoch, state.epoch), applied_epoch=epoch, sequence=sequence)


def fenced(state: ReplicaState, epoch: int) -> ReplicaState:
    """Return the state after learning of a promotion: operations of older epochs are refused from here on."""
    return ReplicaState(max(epoch, state.epoch), state.applied_epoch, state.sequence)


def elect(states: Mapping[str, ReplicaState], n: int) -> tuple[str, int]:
    """Choose the new primary among the members that can be reached; returns its name and the new epoch.

    The most advanced one wins (by epoch of its last operation, then by sequence: what a majority applied survives, as
    in Raft's election restriction, Ongaro and Ousterhout 2014, 5.4.1), then the first by name. All that are reached
    must learn the new epoch (:func:`fenced`) before the new primary acts.

    Raises:
        NoQuorum: fewer than a majority of the ``n`` members can be reached, so another side might elect as well.
    """
    needed = more_than_half(n)
    if len(states) < needed:
        raise NoQuorum(f"{len(states)} of {n} members can be reached, {needed} are needed to promote one")
    best = max(states.values(), key=lambda state: (state.applied_epoch, state.sequence))
    name = min(name for name, state in states.items() if _progress(state) == _progress(best))
    return name, max(state.epoch for state in states.values()) + 1


def _progress(state: ReplicaState) -> tuple[int, int]:
    return state.applied_epoch, state.sequence
