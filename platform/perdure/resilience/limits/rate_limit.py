"""Rate limits across processes: a token bucket in Redis.

A bucket holds at most ``burst`` tokens and gains ``rate`` per second; a call takes one or more
(https://en.wikipedia.org/wiki/Token_bucket). While Redis is away each process has a bucket of its own.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from types import TracebackType

from msgspec import Struct
from redis import Redis

from perdure.errors import SettingsError
from perdure.resilience.config_checks import check_numbers
from perdure.resilience.errors import NotCalled, check_name
from perdure.resilience.in_thread import taken_in_thread
from perdure.resilience.listeners import Listeners
from perdure.resilience.redis.keys import DEFAULT_PREFIX, rate_key
from perdure.resilience.redis.link import Clock, RedisLink, SharedStateUnavailable
from perdure.resilience.redis.lua_scripts import text
from perdure.resilience.service.deadline import capped
from perdure.system.fork_locks import fork_lock


class RateLimited(NotCalled):
    """The rate limit allows no call now; ``retry_after_s`` is when it will."""

    def __init__(self, name: str, retry_after_s: float) -> None:
        super().__init__(f"rate limit {name!r} is used up; next call in {retry_after_s:.3g} s", retry_after_s)
        self.name = name

    def __reduce__(self) -> tuple[type[RateLimited], tuple[str, float]]:
        return type(self), (self.name, self.retry_after_s)


class RateLimitConfig(Struct, frozen=True, kw_only=True):
    """A rate limit.

    Args:
        rate: calls per second in the long run.
        burst: calls at once after a quiet time; default: one second's worth, at least 1.
    """

    rate: float
    burst: float | None = None

    def __post_init__(self) -> None:
        check_numbers("rate limit", self)
        if self.rate <= 0 or self.size < 1:
            raise SettingsError(f"{self}: rate must be above 0, burst 1 or more")

    @property
    def size(self) -> float:
        """Tokens in a full bucket."""
        return max(1.0, self.rate) if self.burst is None else self.burst


class RateLimitSnapshot(Struct, frozen=True):
    """One key's bucket at one moment. ``limited`` counts this process's refusals."""

    name: str
    key: str
    tokens: float
    burst: float
    rate: float
    limited: int
    shared: bool


class RateLimitEvent(Struct, frozen=True):
    """A call was refused; after ``retry_after`` seconds it would not have been."""

    name: str
    key: str
    retry_after: float


def draw(tokens: float, elapsed: float, config: RateLimitConfig, wanted: float, most: float) -> tuple[float, float, float]:
    """Return the tokens granted, the seconds to wait (0: granted) and the tokens left.

    Args:
        tokens: what there was ``elapsed`` seconds ago.
        elapsed: seconds.
        config: rate and burst.
        wanted: tokens that are taken, all or none.
        most: tokens that are taken when there are more; only whole ones.
    """
    tokens = min(config.size, tokens + max(0.0, elapsed) * config.rate)
    if tokens < wanted:
        return 0.0, (wanted - tokens) / config.rate, tokens
    granted = max(wanted, min(most, math.floor(tokens)))
    return granted, 0.0, tokens - granted


class _Drawn(Struct, frozen=True):
    """What a bucket gave: tokens, or seconds to wait for them; and what is left in it."""

    granted: float
    wait: float
    left: float
    shared: bool


class RateLimit:
    """A token bucket per key, shared by all processes. Thread-safe.

    Args:
        redis: a client or a URL.
        name: what is limited.
        config: rate and burst.
        clock: monotonic seconds.
        sleep: waits for so many seconds.
        prefix: begins each key in Redis.
    """

    def __init__(
        self,
        redis: Redis | str,
        name: str,
        config: RateLimitConfig,
        *,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        prefix: str = DEFAULT_PREFIX,
    ) -> None:
        check_name("rate limit", name)
        self._prefix = prefix
        self.name, self.config = name, config
        self._link = RedisLink(redis, what=f"rate limit {name!r}", clock=clock)
        self._clock, self._sleep = clock, sleep
        self._lock = fork_lock()
        self._local: dict[str, tuple[float, float]] = {}
        self._limited = 0
        self._listeners: Listeners[RateLimitEvent] = Listeners()

    def acquire(self, key: str = "", *, tokens: float = 1, timeout: float = 0.0) -> None:
        """Take tokens.

        Args:
            key: Whose bucket.
            tokens: How many.
            timeout: Seconds to wait for them, at most what the deadline leaves.

        Raises:
            RateLimited: they will not be there in time. Nothing was taken.
            ValueError: the bucket can never hold so many.
        """
        end = self._end_of(tokens, timeout)
        while (wait := self.try_acquire(key, tokens=tokens)) > 0:
            self._refuse_beyond(end, key, wait)
            self._sleep(wait)

    async def acquire_async(self, key: str = "", *, tokens: float = 1, timeout: float = 0.0) -> None:
        """Take tokens as :meth:`acquire` does; Redis is asked from a thread, and nothing is held while waiting.

        Raises:
            RateLimited: they will not be there in time. Nothing was taken.
            ValueError: the bucket can never hold so many.
        """
        end = self._end_of(tokens, timeout)

        def take() -> float:
            return self.try_acquire(key, tokens=tokens)

        def give_back(wait: float) -> None:
            if wait <= 0:
                self.give_back(tokens, key)

        while (wait := await taken_in_thread(take, give_back)) > 0:
            self._refuse_beyond(end, key, wait)
            await asyncio.sleep(wait)

    def try_acquire(self, key: str = "", *, tokens: float = 1) -> float:
        """Take tokens if they are there; returns 0, or the seconds after which they may be.

        Args:
            key: Whose bucket.
            tokens: How many.
        """
        return self._draw(key, tokens, tokens).wait

    def take(self, most: int, key: str = "") -> int:
        """Take as many whole tokens as there are, in one round trip; returns how many.

        Args:
            most: No more than these.
            key: Whose bucket.
        """
        return int(self._draw(key, 0, most).granted) if most > 0 else 0

    def give_back(self, tokens: float, key: str = "") -> None:
        """Put back tokens that were taken and not used.

        Args:
            tokens: How many.
            key: Whose bucket.
        """
        if tokens > 0:
            self._draw(key, -tokens, -tokens)

    def snapshot(self, key: str = "") -> RateLimitSnapshot:
        """Return the bucket of ``key`` as it is."""
        found, config = self._draw(key, 0, 0), self.config
        return RateLimitSnapshot(self.name, key, found.left, config.size, config.rate, self._limited, found.shared)

    def listen(self, listener: Callable[[RateLimitEvent], None]) -> Callable[[], None]:
        """Call ``listener`` with each refusal in this process; returns a function that unsubscribes."""
        return self._listeners.add(listener)

    def __enter__(self) -> RateLimit:
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        return

    async def __aenter__(self) -> RateLimit:
        await self.acquire_async()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        return

    def _end_of(self, tokens: float, timeout: float) -> float:
        """Return until when a caller waits."""
        if tokens > self.config.size:
            raise ValueError(f"rate limit {self.name!r}: {tokens} tokens wanted of a bucket of {self.config.size}")
        return self._clock() + (capped(timeout) or 0.0)

    def _refuse_beyond(self, end: float, key: str, wait: float) -> None:
        if self._clock() + wait <= end:
            return
        with self._lock:
            self._limited += 1
        self._listeners.emit(RateLimitEvent(self.name, key, wait))
        raise RateLimited(self.name, wait)

    def _draw(self, key: str, wanted: float, most: float) -> _Drawn:
        config = self.config
        name = rate_key(self.name, key, self._prefix)
        ttl_ms = int(config.size / config.rate * 1000) + 1000  # by then the bucket is full, as a missing one is
        args = [config.rate, config.size, wanted, most, ttl_ms]
        try:
            granted, wait_ms, left, odd = self._link.run(
                lambda: self._link.scripts.run("rate_limit", [name], args), {name: "hash"}
            )
        except SharedStateUnavailable:
            return self._draw_locally(key, wanted, most)
        if odd:
            self._link.say_once(f"the bucket of key {key!r} in Redis made no sense and is full again")
        return _Drawn(float(text(granted)), wait_ms / 1000, float(text(left)), shared=True)

    def _draw_locally(self, key: str, wanted: float, most: float) -> _Drawn:
        with self._lock:
            now = self._clock()
            tokens, at = self._local.get(key, (self.config.size, now))
            granted, wait, left = draw(tokens, now - at, self.config, wanted, most)
            self._local[key] = (left, now)
            return _Drawn(granted, wait, left, shared=False)
