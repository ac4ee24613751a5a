"""A service and all that protects calls to it, composed from one configuration.

    payments = Service(redis, "payments", ServiceConfig(timeout=10, retry="fast"))
    payments.call(charge, "o-1", 4200)

The order, from the outside in, and why:

1. **fallback** sees every error, so that it serves whatever went wrong below.
2. **timeout** bounds the whole: it sets the deadline that every wait and attempt inside is capped by.
3. **permits** bound how many calls are under way; a call that waits for one has not reached the breaker.
4. **retry** makes attempts. It never waits for an open breaker: that ends it, with the error of the attempt before.
5. **breaker** counts each attempt, as in resilience4j and Polly: a threshold of 5 is five calls that reached a broken
   service, however many retries each caller makes.
6. **rate** counts each attempt, because that is what the service's own limit counts.
7. **attempt timeout** interrupts a hanging attempt, so that the breaker learns of it. It is ``attempt_timeout`` or, if
   that is None, what is left of ``timeout``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from msgspec import Struct, field
from redis import Redis

from perdure.model.faults.places import Point, faulty, faulty_async
from perdure.model.retry_policy import RetryPolicy
from perdure.resilience.breaker.breaker import CircuitBreaker
from perdure.resilience.breaker.config import BreakerConfig
from perdure.resilience.breaker.events import BreakerSnapshot
from perdure.resilience.config_checks import check_numbers
from perdure.resilience.decorating import decorated
from perdure.resilience.errors import check_name
from perdure.resilience.limits.permits import Permits, PermitsConfig, PermitsSnapshot
from perdure.resilience.limits.rate_limit import RateLimit, RateLimitConfig, RateLimitSnapshot
from perdure.resilience.listeners import Listeners
from perdure.resilience.redis.keys import DEFAULT_PREFIX
from perdure.resilience.redis.link import connect
from perdure.resilience.retry.budget import RetryBudget, RetryBudgetConfig, RetryBudgetSnapshot
from perdure.resilience.retry.retrying import Retrying, retrying
from perdure.resilience.service.deadline import deadline
from perdure.resilience.service.fallback import Fallback, FallbackConfig, FallbackSnapshot, Served
from perdure.resilience.service.timeouts import Timeout, TimeoutSnapshot
from perdure.system.tracing import span

if TYPE_CHECKING:
    pass

P = ParamSpec("P")
R = TypeVar("R")


class ServiceConfig(Struct, frozen=True, kw_only=True):
    """What protects calls to a service; None leaves a part out. Times are in seconds.

    Args:
        timeout: for the whole call with its retries and waits.
        attempt_timeout: for one attempt; None: what is left of ``timeout``.
        retry: a policy or the name of a preset.
        retry_budget: what retries may cost in all processes together.
        breaker: the circuit breaker.
        rate: attempts per second in all processes together.
        rate_wait: how long an attempt waits for the rate limit.
        permits: calls under way in all processes together.
        permits_wait: how long a call waits for a permit.
        fallback: what serves when the call fails.
    """

    timeout: float | None = 30.0
    attempt_timeout: float | None = None
    retry: RetryPolicy | str | None = "fast"
    retry_budget: RetryBudgetConfig | None = field(default_factory=RetryBudgetConfig)
    breaker: BreakerConfig | None = field(default_factory=BreakerConfig)
    rate: RateLimitConfig | None = None
    rate_wait: float = 1.0
    permits: PermitsConfig | None = None
    permits_wait: float = 1.0
    fallback: FallbackConfig | None = None

    def __post_init__(self) -> None:
        check_numbers("service", self, above_zero=("timeout", "attempt_timeout"), from_zero=("rate_wait", "permits_wait"))


class ServiceSnapshot(Struct, frozen=True):
    """A service's parts at one moment; None for parts that it does not have."""

    name: str
    timeout: TimeoutSnapshot
    breaker: BreakerSnapshot | None
    retry_budget: RetryBudgetSnapshot | None
    rate: RateLimitSnapshot | None
    permits: PermitsSnapshot | None
    fallback: FallbackSnapshot | None


class ServiceCall(Struct, frozen=True):
    """One call of a service, as its caller saw it.

    Attributes:
        name: The service.
        seconds: How long it took, with retries and waits.
        level: What served it, see :class:`~perdure.resilience.service.fallback.Served`; empty when it failed.
        error: What the caller got instead of a value.
    """

    name: str
    seconds: float
    level: str
    error: Exception | None = None


class Service:
    """Calls to one service, protected. Thread-safe.

    Args:
        redis: a client or a URL.
        name: the service.
        config: its protection.
        breaker: the breaker to use instead of a new one, such as ``app.breakers["payments"]``.
        secondaries: for the fallback: other functions by name, with the same arguments.
        default: for the fallback: a value, or a function of the arguments.
        key: for the fallback's last good values: a function of the arguments that names what is asked for.
        prefix: begins each key in Redis.

    Raises:
        TypeError: An argument is unknown.
    """

    def __init__(
        self,
        redis: Redis | str,
        name: str,
        config: ServiceConfig | None = None,
        *,
        breaker: CircuitBreaker | None = None,
        secondaries: Mapping[str, Callable[..., Any]] | None = None,
        key: Callable[..., object] | None = None,
        prefix: str = DEFAULT_PREFIX,
        **default: Any,
    ) -> None:
        check_name("service", name)
        if set(default) - {"default"}:
            raise TypeError(f"unexpected arguments: {', '.join(sorted(set(default) - {'default'}))}")
        config = config or ServiceConfig()
        client = connect(redis)
        self.name, self.config = name, config
        self._listeners: Listeners[ServiceCall] = Listeners()
        self.timeout = Timeout(name, config.attempt_timeout)
        if breaker is None and config.breaker is not None:
            breaker = CircuitBreaker(client, name, config.breaker, prefix=prefix)
        self.breaker = breaker
        wants_budget = config.retry and config.retry_budget
        budget = RetryBudget(client, name, config.retry_budget, prefix=prefix) if wants_budget else None
        self.retrying: Retrying | None = retrying(config.retry, budget=budget) if config.retry else None
        self.rate = RateLimit(client, name, config.rate, prefix=prefix) if config.rate else None
        self.permits = Permits(client, name, config.permits, prefix=prefix) if config.permits else None
        wanted = config.fallback is not None or bool(secondaries) or bool(default) or key is not None
        self.fallback = (
            Fallback(name, config.fallback, redis=client, secondaries=secondaries, key=key, prefix=prefix, **default)
            if wanted
            else None
        )

    def call(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn`` with all the service's protection.

        Raises:
            CircuitOpen, RateLimited, BulkheadFull, OperationTimeout: refused or too late, and there is no fallback.
        """
        return self.serve(fn, *args, **kwargs).value

    def serve(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Served[R]:
        """Call ``fn`` like :meth:`call`; the answer says which level served it."""
        with self._telling() as told:
            told.append(served := self._serve(fn, *args, **kwargs))
        return served

    def listen(self, listener: Callable[[ServiceCall], None]) -> Callable[[], None]:
        """Call ``listener`` with each call of this process that has ended; returns a function that unsubscribes."""
        return self._listeners.add(listener)

    async def call_async(self, fn: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """Await ``fn`` with all the service's protection. A fallback's secondaries and default may be asynchronous too."""
        return (await self.serve_async(fn, *args, **kwargs)).value

    async def serve_async(self, fn: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> Served[R]:
        """Await ``fn`` like :meth:`call_async`; the answer says which level served it."""
        with self._telling() as told:
            told.append(served := await self._serve_async(fn, *args, **kwargs))
        return served

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function or coroutine function."""
        return decorated(fn, self.call, self.call_async)

    def snapshot(self) -> ServiceSnapshot:
        """Return all parts as they are."""
        budget = self.retrying.budget if self.retrying else None
        return ServiceSnapshot(
            name=self.name,
            timeout=self.timeout.snapshot(),
            breaker=self.breaker.snapshot() if self.breaker else None,
            retry_budget=budget.snapshot() if budget else None,
            rate=self.rate.snapshot() if self.rate else None,
            permits=self.permits.snapshot() if self.permits else None,
            fallback=self.fallback.snapshot() if self.fallback else None,
        )

    @contextmanager
    def _telling(self) -> Iterator[list[Served[Any]]]:
        """Tell a span and the listeners of the call that the block makes, whose answer it adds to the list."""
        began, served = time.monotonic(), list[Served[Any]]()
        try:
            with span(f"call {self.name}", "client", {"service.peer.name": self.name}) as made:
                yield served
                if made is not None:
                    made.set_attribute("perdure.served_by", served[0].level)
        except Exception as error:
            self._listeners.emit(ServiceCall(self.name, time.monotonic() - began, "", error))
            raise
        self._listeners.emit(ServiceCall(self.name, time.monotonic() - began, served[0].level))

    def _serve(self, fn: Callable[..., R], *args: Any, **kwargs: Any) -> Served[R]:
        if self.fallback is None:
            return Served(self._bounded(fn, *args, **kwargs))
        try:
            value = self._bounded(fn, *args, **kwargs)
        except self.fallback.config.on as error:
            return self.fallback.recover(error, fn, *args, **kwargs)
        self.fallback.keep(value, fn, *args, **kwargs)
        return Served(value)

    async def _serve_async(self, fn: Callable[..., Awaitable[R]], *args: Any, **kwargs: Any) -> Served[R]:
        if self.fallback is None:
            return Served(await self._bounded_async(fn, *args, **kwargs))
        try:
            value = await self._bounded_async(fn, *args, **kwargs)
        except self.fallback.config.on as error:
            return await self.fallback.recover_async(error, fn, *args, **kwargs)
        await asyncio.to_thread(self.fallback.keep, value, fn, *args, **kwargs)
        return Served(value)

    def _bounded(self, fn: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        with deadline(self.config.timeout):
            if self.permits is None:
                return self._retried(fn, *args, **kwargs)
            with self.permits.acquire(timeout=self.config.permits_wait):
                return self._retried(fn, *args, **kwargs)

    def _retried(self, fn: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        if self.retrying is None:
            return self._guarded(fn, *args, **kwargs)
        return cast("R", self.retrying.call(self._guarded, fn, *args, **kwargs))

    def _guarded(self, fn: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        if self.breaker is None:
            return self._attempt(fn, *args, **kwargs)
        return cast("R", self.breaker.call(self._attempt, fn, *args, **kwargs))

    def _attempt(self, fn: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        if self.rate is not None:
            self.rate.acquire(timeout=self.config.rate_wait)
        return self.timeout.call(faulty(fn, Point.CALL, service=self.name), *args, **kwargs)

    async def _bounded_async(self, fn: Callable[..., Awaitable[R]], *args: Any, **kwargs: Any) -> R:
        with deadline(self.config.timeout):
            if self.permits is None:
                return await self._retried_async(fn, *args, **kwargs)
            permit = await self.permits.acquire_async(timeout=self.config.permits_wait)
            try:
                return await self._retried_async(fn, *args, **kwargs)
            finally:
                permit.release()

    async def _retried_async(self, fn: Callable[..., Awaitable[R]], *args: Any, **kwargs: Any) -> R:
        if self.retrying is None:
            return await self._guarded_async(fn, *args, **kwargs)
        return cast("R", await self.retrying.call_async(self._guarded_async, fn, *args, **kwargs))

    async def _guarded_async(self, fn: Callable[..., Awaitable[R]], *args: Any, **kwargs: Any) -> R:
        if self.breaker is None:
            return await self._attempt_async(fn, *args, **kwargs)
        return cast("R", await self.breaker.call_async(self._attempt_async, fn, *args, **kwargs))

    async def _attempt_async(self, fn: Callable[..., Awaitable[R]], *args: Any, **kwargs: Any) -> R:
        if self.rate is not None:
            await self.rate.acquire_async(timeout=self.config.rate_wait)
        return await self.timeout.call_async(faulty_async(fn, Point.CALL, service=self.name), *args, **kwargs)
