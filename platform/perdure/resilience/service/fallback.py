"""Fallbacks: when the primary fails, serve from a secondary, the last good value, or a default, and say so.

rates = Fallback("rates", redis=redis, secondaries={"mirror": fetch_from_mirror}, default={})
served = rates.serve(fetch, "EUR")
served.value, served.level, served.degraded        # degraded is None when the primary answered
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from redis import Redis

from perdure.resilience.config_checks import check_numbers
from perdure.resilience.errors import check_name
from perdure.resilience.listeners import Listeners
from perdure.resilience.redis.keys import DEFAULT_PREFIX, fallback_key
from perdure.resilience.redis.link import RedisLink, SharedStateUnavailable
from perdure.system.fork_locks import fork_lock

R = TypeVar("R")

log = logging.getLogger("perdure.resilience")

_NO_DEFAULT: Any = object()

PRIMARY, CACHED, DEFAULT = "primary", "cached", "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackConfig:
    """What a fallback may serve.

    Args:
        cache: keep the last good value in Redis, as JSON, for each function and its arguments.
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


@dataclass(frozen=True, slots=True)
class Degraded:
    """How a value came about that is not the primary's.

    ``age``: seconds since a cached value was good. ``errors``: what each level before failed with.
    """

    level: str
    errors: Mapping[str, str]
    age: float | None = None


@dataclass(frozen=True, slots=True)
class Served(Generic[R]):
    """A value and the level that served it; ``degraded`` is None when it was the primary."""

    value: R
    degraded: Degraded | None = None

    @property
    def level(self) -> str:
        """The level: ``primary``, a secondary's name, ``cached`` or ``default``."""
        return self.degraded.level if self.degraded else PRIMARY


@dataclass(frozen=True, slots=True)
class FallbackSnapshot:
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
        now: Callable[[], float] = time.time,
        prefix: str = DEFAULT_PREFIX,
    ) -> None:
        check_name("fallback", name)
        self.name, self.config = name, config or FallbackConfig()
        self._link = RedisLink(redis, what=f"fallback {name!r}") if redis is not None and self.config.cache else None
        self._prefix = prefix
        self._secondaries, self._default, self._now = dict(secondaries or {}), default, now
        self._lock = fork_lock()
        self._served: Counter[str] = Counter()
        self._failed = 0
        self._kept_at: dict[str, float] = {}
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
        """Await ``fn``, as :meth:`serve` does; secondaries, the default and Redis are asked from a thread."""
        try:
            value = await fn(*args, **kwargs)
        except self.config.on as error:
            return await asyncio.to_thread(self.recover, error, fn, *args, **kwargs)
        await asyncio.to_thread(self.keep, value, fn, *args, **kwargs)
        return Served(value)

    def keep(self, value: Any, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Note an answer of the primary, for calls made elsewhere, such as asynchronous ones.

        Args:
            value: What it answered.
            fn: The primary.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
        """
        self._count(PRIMARY)
        if self._link is not None:
            self._keep(self._link, value, self._key(fn, args, kwargs))

    def recover(self, error: Exception, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Served[Any]:
        """Serve from the levels after the primary, which failed, for calls made elsewhere.

        Args:
            error: What it failed with.
            fn: The primary.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
        """
        errors = {PRIMARY: _describe(error)}
        for level, secondary in self._secondaries.items():
            try:
                return self._serve_degraded(secondary(*args, **kwargs), Degraded(level, errors))
            except Exception as another:  # noqa: BLE001 - noted, and the next level is tried
                errors[level] = _describe(another)
        kept = self._kept(self._link, self._key(fn, args, kwargs)) if self._link else None
        if kept is not None:
            value, age = kept
            return self._serve_degraded(value, Degraded(CACHED, errors, age))
        if self._default is not _NO_DEFAULT:
            value = self._default(*args, **kwargs) if callable(self._default) else self._default
            return self._serve_degraded(value, Degraded(DEFAULT, errors))
        with self._lock:
            self._failed += 1
        for level, text in list(errors.items())[1:]:
            error.add_note(f"fallback {self.name!r}: {level} failed as well: {text}")
        raise error

    def snapshot(self) -> FallbackSnapshot:
        """Return the counters by level."""
        with self._lock:
            return FallbackSnapshot(self.name, dict(self._served), self._failed)

    def listen(self, listener: Callable[[Degraded], None]) -> Callable[[], None]:
        """Call ``listener`` whenever something else than the primary served; returns what unsubscribes."""
        return self._listeners.add(listener)

    def _serve_degraded(self, value: Any, degraded: Degraded) -> Served[Any]:
        self._count(degraded.level)
        self._listeners.emit(degraded)
        return Served(value, degraded)

    def _count(self, level: str) -> None:
        with self._lock:
            self._served[level] += 1

    def _key(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Return the key of a call: the hash of the function's name and arguments, which may be long or secret."""
        named = inspect.unwrap(getattr(fn, "func", fn))  # functools.partial, functools.wraps
        name = f"{named.__module__}.{getattr(named, '__qualname__', type(named).__qualname__)}"
        text = json.dumps([name, args, kwargs], sort_keys=True, default=repr)
        return fallback_key(self.name, hashlib.sha256(text.encode()).hexdigest()[:32], self._prefix)

    def _keep(self, link: RedisLink, value: Any, key: str) -> None:
        now = self._now()
        with self._lock:
            if now - self._kept_at.get(key, float("-inf")) < self.config.refresh:
                return
            if len(self._kept_at) > 10_000:
                self._kept_at.clear()  # costs a few writes; an entry for each argument ever seen would cost more
            self._kept_at[key] = now
        try:
            text = json.dumps({"at": now, "value": value}, allow_nan=False)
            link.run(lambda: link.client.set(key, text, px=int(self.config.max_age * 1000)))
        except SharedStateUnavailable:
            return  # the primary answered; the link has warned
        except (TypeError, ValueError) as error:
            log.warning("fallback %r: a value has no JSON form and is not kept: %s", self.name, error)

    def _kept(self, link: RedisLink, key: str) -> tuple[Any, float] | None:
        try:
            text = link.run(lambda: link.client.get(key), {key: "string"})
        except SharedStateUnavailable:
            return None
        if text is None:
            return None
        try:
            kept = json.loads(text)
            value, at = kept["value"], float(kept["at"])
        except (ValueError, TypeError, KeyError, RecursionError):
            link.say_once("a kept value in Redis made no sense and is not served")
            return None
        age = self._now() - at
        return (value, max(0.0, age)) if age <= self.config.max_age else None


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
