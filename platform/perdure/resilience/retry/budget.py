"""Retry budgets: retries of all processes draw from one bucket, so that they cannot multiply an outage.

Costs are those of the AWS SDKs' standard retry mode
(https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html): 500 tokens, a retry costs 5 (10 after a
timeout), a success gives 1 back and a retry that succeeds what it cost. When every call fails, a full bucket pays for
100 retries in total, whatever the number of workers; then calls fail at once until the service answers again.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import Struct
from redis import Redis

from perdure.resilience.config_checks import check_numbers
from perdure.resilience.errors import check_name
from perdure.resilience.listeners import Listeners
from perdure.resilience.redis.keys import DEFAULT_PREFIX, retry_budget_key
from perdure.resilience.redis.link import Clock, RedisLink, SharedStateUnavailable
from perdure.system.fork_locks import fork_lock


class RetryBudgetConfig(Struct, frozen=True, kw_only=True):
    """Tokens of a retry budget.

    Args:
        capacity: tokens in a full bucket.
        cost: tokens that a retry takes.
        timeout_cost: tokens that a retry after a ``TimeoutError`` takes: those hurt a service most.
        gain: tokens that a call gives back which succeeds at its first attempt.
        forget_after: seconds after which an unused bucket is full again.
    """

    capacity: int = 500
    cost: int = 5
    timeout_cost: int = 10
    gain: int = 1
    forget_after: float = 600.0

    def __post_init__(self) -> None:
        check_numbers(
            "retry budget",
            self,
            above_zero=("forget_after",),
            from_zero=("cost", "timeout_cost", "gain"),
            from_one=("capacity",),
        )


class RetryBudgetSnapshot(Struct, frozen=True):
    """A budget at one moment. ``denied`` counts this process's retries that it did not pay for."""

    name: str
    tokens: int
    capacity: int
    denied: int
    shared: bool


class RetryBudgetEvent(Struct, frozen=True):
    """The budget of ``name`` did not pay for a retry after ``error``."""

    name: str
    error: BaseException


class RetryBudget:
    """A token bucket shared by all processes that retry calls to one service. Thread-safe.

    A success costs no round trip: what it gives back is added at this process's next retry. While Redis is away each
    process has a bucket of its own.

    Args:
        redis: a client or a URL.
        name: the service.
        config: tokens and costs.
        clock: monotonic seconds.
        prefix: begins each key in Redis.
    """

    def __init__(
        self,
        redis: Redis | str,
        name: str,
        config: RetryBudgetConfig | None = None,
        *,
        clock: Clock = time.monotonic,
        prefix: str = DEFAULT_PREFIX,
    ) -> None:
        check_name("retry budget", name)
        self.name, self.config = name, config or RetryBudgetConfig()
        self._link = RedisLink(redis, what=f"retry budget {name!r}", clock=clock)
        self._key = retry_budget_key(name, prefix)
        self._lock = fork_lock()
        self._credit, self._denied = 0, 0
        self._local_tokens = self.config.capacity
        self._listeners: Listeners[RetryBudgetEvent] = Listeners()

    def take(self, error: BaseException) -> int | None:
        """Pay for a retry after ``error``; returns what it cost, or None when the budget does not allow it."""
        cost = self.config.timeout_cost if isinstance(error, TimeoutError) else self.config.cost
        if self._draw(cost)[0]:
            return cost
        with self._lock:
            self._denied += 1
        self._listeners.emit(RetryBudgetEvent(self.name, error))
        return None

    def give_back(self, paid: int = 0) -> None:
        """Note a success, with what its last retry had cost."""
        with self._lock:
            self._credit = min(self.config.capacity, self._credit + (paid or self.config.gain))

    def listen(self, listener: Callable[[RetryBudgetEvent], None]) -> Callable[[], None]:
        """Call ``listener`` with each retry that was not paid for; returns a function that unsubscribes."""
        return self._listeners.add(listener)

    def snapshot(self) -> RetryBudgetSnapshot:
        """Return the bucket as it is; adds what this process still had to give back."""
        _, tokens, shared = self._draw(0)
        return RetryBudgetSnapshot(self.name, tokens, self.config.capacity, self._denied, shared)

    def _draw(self, cost: int) -> tuple[bool, int, bool]:
        with self._lock:
            credit, self._credit = self._credit, 0
        try:
            args = [self.config.capacity, cost, credit, int(self.config.forget_after * 1000)]
            allowed, tokens, odd = self._link.run(
                lambda: self._link.scripts.run("retry_budget", [self._key], args), {self._key: "string"}
            )
        except SharedStateUnavailable:
            return (*self._draw_locally(cost, credit), False)
        if odd:
            self._link.say_once("the bucket in Redis made no sense and is full again")
        return bool(allowed), int(tokens), True

    def _draw_locally(self, cost: int, credit: int) -> tuple[bool, int]:
        with self._lock:
            tokens = min(self.config.capacity, self._local_tokens + credit)
            allowed = tokens >= cost
            self._local_tokens = tokens - cost if allowed else tokens
            return allowed, self._local_tokens
