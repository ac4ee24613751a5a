"""What a circuit breaker is told: thresholds, windows and times, with units and defaults."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Literal

from msgspec import Struct

from perdure.errors import SettingsError
from perdure.resilience.config_checks import check_numbers

DEFAULT_FORGET_AFTER_S = 7 * 86_400.0
"""An unused breaker's keys live this long in Redis."""

DEFAULT_MAX_STALENESS_S = 0.01
"""Shorter than most calls: what another process opened meanwhile is as if this call had begun just before."""


_ABOVE_ZERO = ("slow_call_duration", "max_recovery_timeout", "permit_lease", "forget_after")
_FROM_ZERO = ("max_staleness", "slow_start")


class BreakerState(StrEnum):
    """Where a breaker stands (Nygard, *Release It!*, 2nd ed. 2018, chapter 5)."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class BreakerConfig(Struct, frozen=True, kw_only=True):
    """Thresholds and times of one breaker. Times are in seconds.

    Args:
        failure_threshold: failures that open the breaker; ``None`` turns this rule off.
        consecutive: count failures in a row, which any success ends; ``False`` counts all failures in the window.
        window: what the sliding window holds: the last calls (``"count"``) or the last seconds (``"time"``, kept in
            ten buckets, so exact to a tenth of the window).
        window_size: calls or seconds. With a time window a streak is forgotten after this long without a failure.
        failure_rate: share of failed calls in the window, above 0 to 1, that opens the breaker.
        slow_call_duration: a call that takes longer is slow, whether it fails or not.
        slow_call_rate: share of slow calls in the window that opens the breaker. A slow trial call then opens it too.
        minimum_calls: rates mean nothing below this many calls in the window.
        recovery_timeout: how long the breaker stays open before it lets a trial call through.
        recovery_growth: each opening that follows within the last recovery time multiplies that time by this.
        max_recovery_timeout: cap of the growth; default ten times ``recovery_timeout``.
        half_open_permits: trial calls per recovery period, across all processes; as many successes close the breaker.
        permit_lease: a trial call that has not reported after this long counts as dead and its permit is given out
            again. Default: the current recovery time, so that even dead probers let no more calls through.
        max_staleness: how long a process may act on what it read last, while that was a closed breaker without a
            failure in a row, or an open one. A process learns up to this long late that another one opened, closed or
            reset the breaker; in exchange it asks Redis once in this time however many calls it makes. 0 asks for each.
        slow_start: after closing, what waited is let go over this long at most (see :mod:`.breaker_admission`); default:
            one ``recovery_timeout``; 0 lets all go at once.
        expected: exceptions that count as failures. Others mean that the service answered and count as successes.
        ignore: exceptions that count as neither; an ignored trial call gives its permit back at once.
        forget_after: expiry of the keys in Redis when the breaker is not used.
    """

    failure_threshold: int | None = 5
    consecutive: bool = True
    window: Literal["count", "time"] = "count"
    window_size: float = 100
    failure_rate: float | None = None
    slow_call_duration: float | None = None
    slow_call_rate: float | None = None
    minimum_calls: int = 20
    recovery_timeout: float = 60.0
    recovery_growth: float = 2.0
    max_recovery_timeout: float | None = None
    half_open_permits: int = 1
    permit_lease: float | None = None
    max_staleness: float = DEFAULT_MAX_STALENESS_S
    slow_start: float | None = None
    expected: tuple[type[BaseException], ...] = (Exception,)
    ignore: tuple[type[BaseException], ...] = ()
    forget_after: float = DEFAULT_FORGET_AFTER_S

    def __post_init__(self) -> None:
        check_numbers("circuit breaker", self, above_zero=_ABOVE_ZERO, from_zero=_FROM_ZERO, from_one=("minimum_calls",))
        problems = [message for wrong, message in self._checks() if wrong]
        if problems:
            raise SettingsError(f"circuit breaker: {'; '.join(problems)}")

    def _checks(self) -> list[tuple[bool, str]]:
        return [
            (self.failure_threshold is not None and self.failure_threshold < 1, "failure_threshold must be 1 or more"),
            (self.window not in ("count", "time"), "window must be 'count' or 'time'"),
            (self.window_size <= 0, "window_size must be above 0"),
            (self.window == "count" and self.window_size > 10_000, "a count window holds at most 10000 calls"),
            (not _is_share(self.failure_rate), "failure_rate must be above 0 and at most 1"),
            (not _is_share(self.slow_call_rate), "slow_call_rate must be above 0 and at most 1"),
            ((self.slow_call_rate is None) != (self.slow_call_duration is None),
             "slow_call_rate and slow_call_duration go together"),
            (self.failure_threshold is self.failure_rate is self.slow_call_rate is None,
             "set failure_threshold, failure_rate or slow_call_rate, or it never opens"),
            (self.recovery_timeout < 0.001, "recovery_timeout must be at least 0.001 s"),
            (self.recovery_growth < 1, "recovery_growth must be 1 or more"),
            (self.half_open_permits < 1, "half_open_permits must be 1 or more"),
            (self.slow_start is not None and not self.slow_start >= 0, "slow_start must be 0 or more"),
        ]  # fmt: skip

    @property
    def ramp(self) -> float:
        """Seconds over which work that waited is let go after the closing."""
        return self.recovery_timeout if self.slow_start is None else self.slow_start

    @property
    def numbers(self) -> MachineConfig:
        """The same in the state machine's units (milliseconds; 0 for rules that are off)."""
        recovery_ms = max(1, int(self.recovery_timeout * 1000))
        cap = self.max_recovery_timeout
        return MachineConfig(
            failure_threshold=self.failure_threshold or 0,
            consecutive=int(self.consecutive),
            window=self.window,
            window_size=int(self.window_size * 1000) if self.window == "time" else int(self.window_size),
            failure_rate=self.failure_rate or 0.0,
            slow_rate=self.slow_call_rate or 0.0,
            minimum_calls=self.minimum_calls,
            recovery_ms=recovery_ms,
            growth=self.recovery_growth,
            max_recovery_ms=recovery_ms * 10 if cap is None else max(recovery_ms, int(cap * 1000)),
            half_open_permits=self.half_open_permits,
            permit_lease_ms=int((self.permit_lease or 0) * 1000),
            ttl_ms=int(self.forget_after * 1000),
        )


class MachineConfig(Struct, frozen=True, kw_only=True):
    """A breaker's configuration as its state machine reads it, in Python and in Lua."""

    failure_threshold: int
    consecutive: int
    window: str
    window_size: int
    failure_rate: float
    slow_rate: float
    minimum_calls: int
    recovery_ms: int
    growth: float
    max_recovery_ms: int
    half_open_permits: int
    permit_lease_ms: int
    ttl_ms: int

    def to_json(self) -> str:
        """Return the form that the Lua scripts take."""
        return json.dumps({field: getattr(self, field) for field in self.__struct_fields__})


def _is_share(value: float | None) -> bool:
    return value is None or 0 < value <= 1
