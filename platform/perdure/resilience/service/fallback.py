"""Fallbacks: when the primary fails, serve from a secondary, the last good value, or a default, and say so.

rates = Fallback("rates", redis=redis, secondaries={"mirror": fetch_from_mirror}, default={})
served = rates.serve(fetch, "EUR")
served.value, served.level, served.degraded        # degraded is None when the primary answered
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Any, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace
from redis import Redis

from perdure.resilience.config_checks import check_numbers
from perdure.resilience.errors import check_name
from perdure.resilience.listeners import Listeners
from perdure.resilience.redis.keys import DEFAULT_PREFIX
from perdure.resilience.service.last_good import LastGood
from perdure.system.fork_locks import fork_lock

R = TypeVar("R")

_NO_DEFAULT: Any = object()

PRIMARY, CACHED, DEFAULT = "primary", "cached", "default"


class FallbackConfig(Struct, frozen=True, kw_only=True):
    """What a fallback may serve.

    Args:
        cache: keep the last good value in Redis, as JSON, for each call that can be told apart from others: see
            :mod:`perdure.resilience.service.call_key`.
        max_age: seconds after which a kept value is too old to be served; then it expires.
        refresh: a good value replaces the kept one at most once in this many seconds per process and key.
        on: errors of the primary that are made up for; others reach the caller.
    """

    cache: bool = True
    max_age: float = 86_400.0
    refresh: float = 1.0
    on: tuple[type[Exception], ...] = (Exception,)

    def __post_init__(self) -> None:
        check_numbers("fallback", self, above_zero=("max_age",), from_zero=("refresh",))


class Degraded(Struct, frozen=True):
    """How a value came about that is not the primary's.

    ``age``: seconds since a cached value was good. ``errors``: what each level before failed with.
    """

    level: str
    errors: Mapping[str, str]
    age: float | None = None


class Served(Struct, Generic[R], frozen=True):
    """A value and the level that served it; ``degraded`` is None when it was the primary."""

    value: R
    degraded: Degraded | None = None

    @property
    def level(self) -> str:
        """The level: ``primary``, a secondary's name, ``cached`` or ``default``."""
        return self.degraded.level if self.degraded else PRIMARY


class FallbackSnapshot(Struct, frozen=True):
    """How often each level served in this process, and how often none could."""

    name: str
    served: Mapping[str, int]
    failed: int


class Fallback:
    """Serves a call from the first level that can. Thread-safe.

    Args:
        name: what is served.
        config: caching and errors.
        redis: a client or URL for the last good values; None: no cache.
        secondaries: other functions by name, tried in order with the same arguments.
        default: the last resort: a value, or a function of the arguments.
        key: a function of the arguments that returns what names the value: ``key=lambda order: order.id``. Needed where
            the function or its arguments do not tell calls apart; for a single call there is
            :func:`~perdure.resilience.service.call_key.keyed`.
        now: Unix seconds.
        prefix: begins each key in Redis.
    """

    def __init__(
        self,
        name: str,
        config: FallbackConfig | None = None,
        *,
        redis: Redis | str | None = None,
        secondaries: Mapping[str, Callable[..., Any]] | None = None,
        default: Any = _NO_DEFAULT,
        key: Callable[..., object] | None = None,
        now: Callable[[], float] = time.time,
        prefix: str = DEFAULT_PREFIX,
    ) -> None:
        check_name("fallback", name)
        self.name, self.config = name, config or FallbackConfig()
        times = {"max_age": self.config.max_age, "refresh": self.config.refresh}
        wanted = redis is not None and self.config.cache
        self._last_good = LastGood(redis, name, key, now=now, prefix=prefix, **times) if redis and wanted else None
        self._secondaries, self._default = dict(secondaries or {}), default
        self._lock = fork_lock()
        self._served: Counter[str] = Counter()
        self._failed = 0
        self._listeners: Listeners[Degraded] = Listeners()

    def call(self, fn: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        """Return what :meth:`serve` serves."""
        return self.serve(fn, *args, **kwargs).value

    def serve(self, fn: Callable[..., R], *args: Any, **kwargs: Any) -> Served[R]:
        """Call ``fn`` and, when it fails, the levels after it.

        Raises:
            Exception: the primary's error when no level can serve; its notes name the others' errors.
        """
        try:
            value = fn(*args, **kwargs)
        except self.config.on as error:
            return self.recover(error, fn, *args, **kwargs)
        self.keep(value, fn, *args, **kwargs)
        return Served(value)

    async def serve_async(self, fn: Callable[..., Awaitable[R]], *args: Any, **kwargs: Any) -> Served[R]:
        """Await ``fn``, as :meth:`serve` does. Secondaries and the default may be coroutine functions; others and Redis
        are asked from a thread.
        """
        try:
            value = await fn(*args, **kwargs)
        except self.config.on as error:
            return await self.recover_async(error, fn, *args, **kwargs)
        await asyncio.to_thread(self.keep, value, fn, *args, **kwargs)
        return Served(value)

    def keep(self, value: Any, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Note that ``fn`` answered with ``value`` (for calls made elsewhere).

        Args:
            value: What it answered.
            fn: The primary.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
        """
        self._count(PRIMARY)
        if self._last_good is not None:
            self._last_good.keep(value, fn, args, kwargs)

    def recover(self, error: Exception, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Served[Any]:
        """Serve from the levels after the primary ``fn``, which failed with ``error`` (for calls made elsewhere).

        Raises:
            Exception: ``error``, when no level can serve; its notes name the others' errors.

        Args:
            error: What it failed with.
            fn: The primary.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
        """
        errors = {PRIMARY: _describe(error)}
        for level, ask in self._levels(fn, args, kwargs):
            try:
                found = _not_awaitable(ask())
            except Exception as another:  # noqa: BLE001 - noted, and the next level is tried
                errors[level] = _describe(another)
            else:
                if found is not None:
                    return self._serve_degraded(found, level, errors)
        raise self._given_up(error, errors)

    async def recover_async(self, error: Exception, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Served[Any]:
        """Serve as :meth:`recover` does; what is awaitable is awaited."""
        errors = {PRIMARY: _describe(error)}
        for level, ask in self._levels(fn, args, kwargs):
            try:
                found = await _asked(ask)
            except Exception as another:  # noqa: BLE001 - noted, and the next level is tried
                errors[level] = _describe(another)
            else:
                if found is not None:
                    return self._serve_degraded(found, level, errors)
        raise self._given_up(error, errors)

    def snapshot(self) -> FallbackSnapshot:
        """Return the counters by level."""
        with self._lock:
            return FallbackSnapshot(self.name, dict(self._served), self._failed)

    def listen(self, listener: Callable[[Degraded], None]) -> Callable[[], None]:
        """Call ``listener`` whenever something else than the primary served; returns what unsubscribes."""
        return self._listeners.add(listener)

    def _levels(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Iterator[tuple[str, Callable[[], _Found | None]]]:
        """Yield what comes after the primary: each level's name, and how to ask it."""
        for level, secondary in self._secondaries.items():
            yield level, partial(_answer, secondary, args, kwargs)
        if self._last_good is not None:
            yield CACHED, partial(_recalled, self._last_good, fn, args, kwargs)
        if self._default is not _NO_DEFAULT:
            yield DEFAULT, partial(_answer, self._default, args, kwargs) if callable(self._default) else self._constant

    def _constant(self) -> _Found:
        return _Found(self._default)

    def _serve_degraded(self, found: _Found, level: str, errors: Mapping[str, str]) -> Served[Any]:
        degraded = Degraded(level, errors, found.age)
        self._count(level)
        self._listeners.emit(degraded)
        return Served(found.value, degraded)

    def _given_up(self, error: Exception, errors: Mapping[str, str]) -> Exception:
        with self._lock:
            self._failed += 1
        for level, text in list(errors.items())[1:]:
            error.add_note(f"fallback {self.name!r}: {level} failed as well: {text}")
        return error

    def _count(self, level: str) -> None:
        with self._lock:
            self._served[level] += 1


class _Found(Struct, frozen=True):
    """What a level has: a value, or one that is still to be awaited."""

    value: Any
    age: float | None = None


def _answer(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Found:
    return _Found(fn(*args, **kwargs))


def _recalled(kept: LastGood, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Found | None:
    found = kept.recall(fn, args, kwargs)
    return None if found is None else _Found(*found)


def _not_awaitable(found: _Found | None) -> _Found | None:
    if found is not None and inspect.isawaitable(found.value):
        if inspect.iscoroutine(found.value):
            found.value.close()
        raise TypeError("it is asynchronous; use serve_async or call_async")
    return found


async def _asked(ask: Callable[[], _Found | None]) -> _Found | None:
    """Ask a level from a thread, so that one that blocks does not block the loop; await in the loop what it returns."""
    found = await asyncio.to_thread(ask)
    return replace(found, value=await found.value) if found is not None and inspect.isawaitable(found.value) else found


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
