"""The connection that all patterns share state over, and what happens while Redis does not answer.

Losing Redis must cost the caller little: one operation waits for its timeout, one warning is logged, and until Redis
is asked again (``retry_interval`` later, by one caller) every operation fails at once with
:class:`SharedStateUnavailable`, so that each pattern can do what it does locally.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from redis import ConnectionError, Redis, RedisError, ResponseError
from redis.backoff import NoBackoff
from redis.retry import Retry

from perdure.errors import PerdureError
from perdure.model.faults.places import REDIS, Point, faulty
from perdure.resilience.redis import address
from perdure.resilience.redis.lua_scripts import Scripts, text
from perdure.system.fork_locks import fork_lock

T = TypeVar("T")
Clock = Callable[[], float]

log = logging.getLogger("perdure.resilience")

CONNECT_TIMEOUT_S = 0.5
"""A breaker that waits longer for Redis than the call it protects would do more harm than good."""

OPERATION_TIMEOUT_S = 1.0
RETRY_INTERVAL_S = 1.0


class SharedStateUnavailable(PerdureError):
    """Redis does not answer, so state cannot be shared between processes."""


def connect(redis: Redis | str) -> Redis:
    """Return a client: the given one, or one for a URL with short timeouts and one immediate reconnect."""
    if not isinstance(redis, str):
        return redis
    return address.connect(
        redis,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=OPERATION_TIMEOUT_S,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 1),  # a pooled connection that Redis closed meanwhile is no outage
    )


class RedisLink:
    """Runs operations on Redis and remembers whether it answers.

    Args:
        redis: a client (its timeouts apply) or a URL.
        what: whose state this is, for the log (``circuit breaker 'payments'``).
        retry_interval: seconds between attempts while Redis is away.
        clock: a monotonic clock in seconds.
        on_lost: called once for each outage, with the error.
        on_restored: called when it is over.
        on_mended: called with a key that held another type than it is made for and was removed, and with that type.
    """

    def __init__(
        self,
        redis: Redis | str,
        *,
        what: str,
        retry_interval: float = RETRY_INTERVAL_S,
        clock: Clock = time.monotonic,
        on_lost: Callable[[BaseException], None] = lambda error: None,
        on_restored: Callable[[], None] = lambda: None,
        on_mended: Callable[[str, str], None] = lambda key, was: None,
    ) -> None:
        self.client = connect(redis)
        self.scripts = Scripts(self.client)
        self._what, self._retry_interval, self._clock = what, retry_interval, clock
        self._on_lost, self._on_restored, self._on_mended = on_lost, on_restored, on_mended
        self._lock = fork_lock()
        self._lost = False
        self._try_again_at = 0.0
        self._said: set[str] = set()

    @property
    def up(self) -> bool:
        """Whether the last operation got through."""
        return not self._lost

    def run(self, operation: Callable[[], T], kinds: Mapping[str, str] | None = None) -> T:
        """Run an operation on Redis.

        Args:
            operation: what to do.
            kinds: the types of the keys that it uses, in Redis' words (``hash``, ``zset``, ...). A key of another type is
                removed: no value of ours is lost with it, and left there it would stop whoever needs the key.

        Raises:
            SharedStateUnavailable: Redis failed, or failed less than ``retry_interval`` ago.
        """
        if self._lost:
            self._claim_next_try()
        try:
            result = faulty(self._mended, Point.REDIS, ConnectionError, store=REDIS)(operation, kinds or {})
        except (RedisError, UnicodeDecodeError) as error:
            self._lose(error)
            raise SharedStateUnavailable(f"{self._what}: Redis failed ({error})") from error
        if self._lost:
            self._restore()
        return result

    def say_once(self, what: str) -> None:
        """Log a warning, unless the same was said before."""
        if what not in self._said:
            self._said.add(what)
            log.warning("%s: %s", self._what, what)

    def _mended(self, operation: Callable[[], T], kinds: Mapping[str, str]) -> T:
        try:
            return operation()
        except ResponseError as error:
            if not kinds or "WRONGTYPE" not in str(error):
                raise
        removed = [text(each) for each in self.scripts.run("mend", list(kinds), list(kinds.values()))]
        for key, was in zip(removed[::2], removed[1::2], strict=True):
            self.say_once(f"the key {key} in Redis was a {was} and no {kinds[key]}; it is made anew")
            self._on_mended(key, was)
        return operation()

    def _claim_next_try(self) -> None:
        with self._lock:
            now = self._clock()
            if now < self._try_again_at:
                raise SharedStateUnavailable(f"{self._what}: Redis is away, next try in {self._try_again_at - now:.1f} s")
            self._try_again_at = now + self._retry_interval

    def _lose(self, error: Exception) -> None:
        with self._lock:
            self._try_again_at = self._clock() + self._retry_interval
            first, self._lost = not self._lost, True
        if first:
            log.warning("%s: Redis failed (%s); acting on this process's own state until it is back", self._what, error)
            self._on_lost(error)

    def _restore(self) -> None:
        with self._lock:
            first, self._lost = self._lost, False
        if first:
            log.warning("%s: Redis is back; state is shared again", self._what)
            self._on_restored()
