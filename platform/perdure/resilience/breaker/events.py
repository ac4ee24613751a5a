"""What a circuit breaker reports: its error, its events, its snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from perdure.resilience.errors import NotCalled

if TYPE_CHECKING:
    from perdure.resilience.breaker.config import BreakerState
    from perdure.resilience.breaker.machine import Change

EventKind = Literal["state", "success", "failure", "ignored", "rejected", "degraded", "restored"]


class CircuitOpen(NotCalled):
    """The breaker lets no call through now.

    ``retry_after_s`` is how many seconds to wait before a call may have a chance.
    """

    def __init__(self, name: str, retry_after_s: float) -> None:
        super().__init__(
            f"circuit breaker {name!r} is open; next try in {retry_after_s:.1f} s. "
            f"See: perdure breakers list; to let calls through now: perdure breakers reset {name}",
            retry_after_s,
        )
        self.name = name

    def __reduce__(self) -> tuple[type[CircuitOpen], tuple[str, float]]:
        return type(self), (self.name, self.retry_after_s)


class BreakerEvent(Struct, frozen=True):
    """One thing that happened, seen by the process where it happened.

    ``state`` changes carry ``change``; ``success`` and ``failure`` carry ``duration`` (seconds) and ``slow``;
    ``degraded`` and ``restored`` tell that Redis was lost and is back.
    """

    kind: EventKind
    name: str
    change: Change | None = None
    error: BaseException | None = None
    duration: float = 0.0
    slow: bool = False


class Override(Struct, frozen=True):
    """A manual decision that stands above the state machine. ``until`` is a Unix time, None means until reset."""

    kind: Literal["open", "closed"]
    by: str
    reason: str
    until: float | None


class BreakerSnapshot(Struct, frozen=True):
    """One breaker at one moment, for the command line, metrics and Flower. Times are Unix seconds."""

    name: str
    state: BreakerState
    shared: bool
    """False: Redis is away and this is the process's own state."""
    reason: str
    since: float | None
    next_probe_in: float
    override: Override | None
    failures_in_a_row: int
    window_calls: int
    window_failures: int
    window_slow: int
    trials_under_way: int
    openings_in_succession: int
    slow_start: float
    """Share of parked work that may go now: 1 in normal times, growing to 1 after the breaker closed, 0 while open."""
    successes: int
    failures: int
    slow_calls: int
    rejected: int
    opened: int
    late: int
    repaired: str = ""
    """What made no sense of what Redis held, and was replaced, since the last reset."""
