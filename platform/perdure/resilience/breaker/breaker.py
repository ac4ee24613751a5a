"""The circuit breaker: stops calling a service that fails, and tries again carefully.

States and terms are Nygard's (*Release It!*) and resilience4j's. What is special here: one state per name for all
processes, changed by atomic scripts in Redis, so that at most ``half_open_permits`` trial calls reach a sick service
per recovery period however many workers wait for it.

    breaker = CircuitBreaker("redis://localhost", "payments", BreakerConfig(recovery_timeout=30))
    breaker.call(charge, "o-1", 4200)

    with breaker:
        charge("o-1", 4200)

    @breaker
    def charge(...): ...        # and async functions alike
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from types import TracebackType
from typing import ParamSpec, TypeVar

from redis import Redis

from perdure.errors import BulkheadFull
from perdure.resilience.breaker.admission import Admission, admission
from perdure.resilience.breaker.config import BreakerConfig, BreakerState
from perdure.resilience.breaker.engine import BreakerEngine, Entry
from perdure.resilience.breaker.events import BreakerEvent, BreakerSnapshot
from perdure.resilience.breaker.machine import Change
from perdure.resilience.breaker.snapshot import effective_state, snapshot, wait_ms
from perdure.resilience.decorating import decorated
from perdure.resilience.errors import NotCalled, check_name
from perdure.resilience.listeners import Listeners
from perdure.resilience.redis.keys import DEFAULT_PREFIX, registry_key
from perdure.resilience.redis.link import Clock, SharedStateUnavailable
from perdure.system.fork_locks import fork_lock
from perdure.system.who import whoami

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_OVERRIDE_S = 3600.0
"""A forgotten override must not decide for ever."""

REGISTER_EVERY_S = 3600.0

_NO_VERDICT = (NotCalled, BulkheadFull)


class CircuitBreaker:
    """A circuit breaker whose state all processes share. Thread-safe and usable from asyncio.

    Args:
        redis: a ``redis.Redis`` client (its timeouts apply while Redis is away) or a URL.
        name: the service that is protected; letters, digits and ``_ . : / @ -``.
        config: thresholds and times.
        clock: monotonic seconds, for durations and staleness.
        now: Unix seconds, for the local fallback.
        prefix: begins each key in Redis.
    """

    def __init__(
        self,
        redis: Redis | str,
        name: str,
        config: BreakerConfig | None = None,
        *,
        clock: Clock = time.monotonic,
        now: Clock = time.time,
        prefix: str = DEFAULT_PREFIX,
    ) -> None:
        check_name("circuit breaker", name)
        self.name, self.config = name, config or BreakerConfig()
        self._listeners: Listeners[BreakerEvent] = Listeners()
        self._engine = BreakerEngine(redis, name, self.config, self._listeners, clock=clock, now=now, prefix=prefix)
        self._registry = registry_key(prefix)
        self._clock, self._now = clock, now
        self._register_at = float("-inf")
        self._register_lock = fork_lock()
        self._entries: ContextVar[tuple[Entry, ...]] = ContextVar(f"breaker-{name}", default=())

    # -- calls ---------------------------------------------------------------------------------------------------

    def call(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn`` through the breaker and return what it returns. For coroutine functions use :meth:`call_async`.

        Raises:
            CircuitOpen: the breaker is open; ``fn`` was not called.
        """
        entry = self._enter()
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            self._leave(entry, error)
            raise
        self._engine.succeed(entry)
        return result

    async def call_async(self, fn: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """Await ``fn`` through the breaker. Redis is asked from a thread, so the event loop never waits for it.

        Raises:
            CircuitOpen: the breaker is open; ``fn`` was not called.
        """
        entry = await asyncio.to_thread(self._enter)
        try:
            result = await fn(*args, **kwargs)
        except BaseException as error:
            await self._leave_async(entry, error)
            raise
        await asyncio.to_thread(self._engine.succeed, entry)
        return result

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function or coroutine function."""
        return decorated(fn, self.call, self.call_async)

    def __enter__(self) -> CircuitBreaker:
        self._push(self._enter())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._leave(self._pop(), error)

    async def __aenter__(self) -> CircuitBreaker:
        self._push(await asyncio.to_thread(self._enter))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._leave_async(self._pop(), error)

    # -- what it knows -------------------------------------------------------------------------------------------

    @property
    def state(self) -> BreakerState:
        """The state now. An open breaker whose recovery time is over is half-open, though nobody called it yet."""
        now_ms, state, _ = self._engine.read()
        return effective_state(state, now_ms)

    def next_probe_in(self) -> float:
        """Return how many seconds to wait before a call has a chance; 0: now."""
        now_ms, state, _ = self._engine.read()
        return wait_ms(self.config, state, now_ms) / 1000

    def admits(self, count: int) -> Admission:
        """Return how many of ``count`` pieces of work that wait behind the breaker may start now; changes nothing.

        Work that starts still enters the breaker by itself. What was read from Redis at most ``max_staleness`` ago is
        good enough, so asking costs one round trip at most.

        Args:
            count: how many wait.

        Returns:
            How many may start, and after how many seconds it is worth asking for the others; see
            :mod:`perdure.resilience.breaker.admission`.
        """
        now_ms, state = self._engine.look()
        return admission(self.config, state, now_ms, count)

    def snapshot(self) -> BreakerSnapshot:
        """Return everything worth showing."""
        now_ms, state, shared = self._engine.read()
        return snapshot(self.name, self.config, state, now_ms, shared=shared)

    def history(self) -> list[Change]:
        """Return the last 50 changes of state, newest first."""
        try:
            return self._engine.store().history()
        except SharedStateUnavailable:
            return self._engine.store().history()

    def listen(self, listener: Callable[[BreakerEvent], None]) -> Callable[[], None]:
        """Call ``listener`` with each event that this process sees; returns a function that unsubscribes."""
        return self._listeners.add(listener)

    def free(self, holder: str) -> None:
        """Give back at once the trial permits of a holder that is known to be dead.

        Args:
            holder: as it was given to :func:`~perdure.resilience.breaker.trial_holder.trials_held_by`.
        """
        self._engine.free(holder)

    # -- manual override -----------------------------------------------------------------------------------------

    def force_open(
        self, *, reason: str = "forced open", by: str | None = None, lasts: float | None = DEFAULT_OVERRIDE_S
    ) -> None:
        """Let no call through for ``lasts`` seconds (None: until :meth:`reset`); then a trial call decides."""
        self._engine.command("force_open", lasts, by or whoami(), reason)
        self._register()

    def force_closed(
        self, *, reason: str = "forced closed", by: str | None = None, lasts: float | None = DEFAULT_OVERRIDE_S
    ) -> None:
        """Let all calls through for ``lasts`` seconds (None: until :meth:`reset`) whatever they do; they count."""
        self._engine.command("force_closed", lasts, by or whoami(), reason)
        self._register()

    def reset(self, *, reason: str = "reset", by: str | None = None) -> None:
        """Close the breaker, forget its window, the growth of its recovery time and any override."""
        self._engine.command("reset", None, by or whoami(), reason)
        self._register()

    def flush(self) -> None:
        """Report the successes that this process holds back (see ``BreakerEngine``), such as before it ends."""
        self._engine.flush()

    # -- inside --------------------------------------------------------------------------------------------------

    def _enter(self) -> Entry:
        if self._clock() >= self._register_at:
            self._register()
        return self._engine.enter()

    def _leave(self, entry: Entry, error: BaseException | None) -> None:
        if error is None:
            self._engine.succeed(entry)
            return
        failed = self._counts(error)
        if failed is None:
            self._engine.ignore(entry, error)
        elif failed:
            self._engine.fail(entry, error)
        else:
            self._engine.succeed(entry)

    async def _leave_async(self, entry: Entry, error: BaseException | None) -> None:
        if error is None or isinstance(error, Exception):
            await asyncio.to_thread(self._leave, entry, error)
        elif self._counts(error) is None and not entry.token:
            self._leave(entry, error)  # no I/O
        else:  # a cancelled task must not await again, and the event loop not wait for Redis
            threading.Thread(target=self._leave, args=(entry, error), name="perdure-breaker-leave").start()

    def _counts(self, error: BaseException) -> bool | None:
        """Say whether an error is a failure of the service (True), an answer of it (False), or neither (None)."""
        if isinstance(error, (*_NO_VERDICT, *self.config.ignore)):
            return None
        if isinstance(error, self.config.expected):
            return True
        return False if isinstance(error, Exception) else None

    def _push(self, entry: Entry) -> None:
        self._entries.set((*self._entries.get(), entry))

    def _pop(self) -> Entry:
        *rest, entry = self._entries.get()
        self._entries.set(tuple(rest))
        return entry

    def _register(self) -> None:
        """Make the name known to :class:`~perdure.resilience.breaker.breakers.Breakers`, once an hour."""
        with self._register_lock:
            self._register_at = self._clock() + REGISTER_EVERY_S
        link = self._engine.link
        try:
            link.run(lambda: link.client.zadd(self._registry, {self.name: self._now()}), {self._registry: "zset"})
            link.run(lambda: link.client.expire(self._registry, max(1, int(self.config.forget_after))))
        except SharedStateUnavailable:
            self._register_at = float("-inf")
