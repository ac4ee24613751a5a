"""How a worker is judged by the age of its last heartbeat. Pure: the ledger applies it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

#: Part of a lease without a heartbeat after which a worker is suspected: two of five beats.
SUSPECT_AFTER = 0.4


class WorkerState(StrEnum):
    """What is known of a worker incarnation."""

    HEALTHY = "healthy"
    SUSPECT = "suspect"
    FAILED = "failed"
    GONE = "gone"

    @property
    def is_live(self) -> bool:
        """Whether its lease counts."""
        return self in (WorkerState.HEALTHY, WorkerState.SUSPECT)

    @classmethod
    def ended(cls) -> tuple[str, ...]:
        """Return the states whose lease is over, as the ledger writes them."""
        return tuple(state.value for state in cls if not state.is_live)


class Verdict(StrEnum):
    """What is said of a worker besides its state, and kept among its events."""

    OUTVOTED = "outvoted"
    """Its answer was another one than the majority's."""
    TRUSTED = "trusted"
    """Somebody says that its answers can be counted again."""
    UNFIT = "unfit"
    """A job found that its node cannot do the work."""


def is_barred(outvoted: int, most: int | None) -> bool:
    """Return whether a worker that was outvoted so many times takes part in no more votes; ``most`` None bars nobody."""
    return most is not None and outvoted >= most


class WorkerEvent(Struct, frozen=True):
    """A worker went from one state to another, or a verdict was given on it.

    Attributes:
        worker_id: The incarnation.
        name: The worker's name.
        bulkhead: What it serves.
        source: The state before; ``failed`` for a new incarnation of a worker that had failed, None for a first one.
        target: The state after, or the verdict.
        reason: Why, in words.
        at: When, by the ledger's clock.
        silence: Age of its last heartbeat then, in seconds: how long the detection took. None for a new incarnation.
    """

    worker_id: str
    name: str
    bulkhead: str
    source: str | None
    target: str
    reason: str
    at: datetime | None
    silence: float | None

    @property
    def is_failure(self) -> bool:
        """Whether the worker was found dead."""
        return self.target == WorkerState.FAILED

    @property
    def is_alarming(self) -> bool:
        """Whether somebody should look at it."""
        return self.is_failure or self.target in (Verdict.OUTVOTED, Verdict.UNFIT)

    @property
    def is_recovery(self) -> bool:
        """Whether a suspected or failed worker is back."""
        return self.target == WorkerState.HEALTHY and self.source in (WorkerState.SUSPECT, WorkerState.FAILED)


def judge(state: WorkerState, silence: float, lease_ttl: float, *, hung_up: bool = False) -> WorkerState:
    """Return the state that a worker is in, given the age of its last heartbeat.

    Args:
        state: Its state so far; ``failed`` and ``gone`` are final.
        silence: Seconds since its last heartbeat, by the ledger's clock.
        lease_ttl: Seconds after which its lease is over.
        hung_up: Whether the connection that its process kept open has been closed: then what would be a suspicion is
            certain enough.
    """
    if not state.is_live or silence <= lease_ttl * SUSPECT_AFTER:
        return WorkerState.HEALTHY if state.is_live else state
    return WorkerState.FAILED if hung_up or silence > lease_ttl else WorkerState.SUSPECT
