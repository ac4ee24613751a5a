"""The breakers of an application, by name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, cast

from redis import Redis, RedisError

from perdure.resilience.breaker.config import BreakerConfig
from perdure.resilience.breaker.trial_holder import quoted
from perdure.resilience.errors import is_name
from perdure.resilience.redis.keys import DEFAULT_PREFIX, breaker_key, registry_key
from perdure.resilience.redis.link import connect
from perdure.resilience.redis.lua_scripts import text
from perdure.system.fork_gate import gate
from perdure.system.fork_locks import fork_lock

if TYPE_CHECKING:
    from perdure.resilience.breaker.breaker import CircuitBreaker
    from perdure.resilience.breaker.events import BreakerEvent, BreakerSnapshot


class Breakers(Mapping[str, "CircuitBreaker"]):
    """``breakers["payments"]`` gives the breaker of that name, made on first use. Thread-safe.

    Iterating gives the names that this application configured or used and those known in Redis.

    Args:
        redis: a client or a URL; all breakers share its connection pool.
        configs: configuration by name.
        default: configuration of the other names.
        on_event: subscribed to every breaker.
        prefix: begins each key in Redis.
    """

    def __init__(
        self,
        redis: Redis | str,
        configs: Mapping[str, BreakerConfig] | None = None,
        *,
        default: BreakerConfig | None = None,
        on_event: Callable[[BreakerEvent], None] | None = None,
        prefix: str = DEFAULT_PREFIX,
    ) -> None:
        self._prefix = prefix
        self._redis = connect(redis)
        self._configs, self._default = dict(configs or {}), default or BreakerConfig()
        self._on_event = on_event
        self._lock = fork_lock()
        self._breakers: dict[str, CircuitBreaker] = {}

    def __getitem__(self, name: str) -> CircuitBreaker:
        with self._lock:
            breaker = self._breakers.get(name)
        return self._made(name) if breaker is None else breaker

    def configure(self, name: str, config: BreakerConfig) -> CircuitBreaker:
        """Set the configuration of one breaker and return it; what Redis knows of it stays.

        Args:
            name: The breaker.
            config: Its configuration.
        """
        with self._lock:
            self._configs[name] = config
            self._breakers.pop(name, None)
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._configs, *self._breakers, *self._known()}))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in set(self)

    def free(self, holder: str) -> None:
        """Give back the trial permits of a holder that is known to be dead, whichever breakers they belong to.

        Costs two round trips, and one more for each breaker that such a permit belongs to. While Redis is away nothing
        is given back: the permits' leases end by themselves.

        Args:
            holder: as it was given to :func:`~perdure.resilience.breaker.trial_holder.trials_held_by`.
        """
        names = list(self)
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.hget(breaker_key(name, self._prefix), "permits")
                permits = pipe.execute(raise_on_error=False)
        except RedisError:
            return
        for name, held in zip(names, permits, strict=True):
            if isinstance(held, bytes | str) and f"@{quoted(holder)}:" in text(held):
                self[name].free(holder)

    def snapshots(self) -> list[BreakerSnapshot]:
        """Return a snapshot of each breaker, by name."""
        return [self[name].snapshot() for name in self]

    def _made(self, name: str) -> CircuitBreaker:
        with gate, self._lock:  # no fork while modules are loaded: they have locks as well
            from perdure.resilience.breaker.breaker import CircuitBreaker  # who has no breakers need not load it

            if name not in self._breakers:
                config = self._configs.get(name, self._default)
                breaker = CircuitBreaker(self._redis, name, config, prefix=self._prefix)
                if self._on_event:
                    breaker.listen(self._on_event)
                self._breakers[name] = breaker
            return self._breakers[name]

    def _known(self) -> list[str]:
        key, oldest = registry_key(self._prefix), time.time() - self._default.forget_after
        try:
            self._redis.zremrangebyscore(key, "-inf", oldest)
            names = [text(cast("bytes | str", name)) for name in self._redis.zrange(key, 0, -1)]
        except (RedisError, UnicodeDecodeError):
            return []  # each breaker warns and acts on its local state; the list shows what this process has
        return [name for name in names if is_name(name)]
