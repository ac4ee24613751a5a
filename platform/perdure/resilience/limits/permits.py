"""Concurrency limits across processes: leased permits in Redis, freed when their holder dies.

Nygard's bulkhead (*Release It!*, 2nd ed. 2018, chapter 5) for what several hosts share.

    exports = Permits(redis, "exports", PermitsConfig(limit=3))
    with exports.acquire("tenant-a", timeout=5):
        ...

Permits of one key are a sorted set of tokens by the end of their lease. A background thread renews what this process
holds; a process that is killed renews nothing, and its permits are free when their lease is over. A holder that was
paused for longer than its lease finds ``permit.lost`` true: another may hold its permit by then.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from types import TracebackType
from typing import Any, Literal

from msgspec import Struct
from redis import Redis

from perdure.errors import BulkheadFull, SettingsError
from perdure.model.jitter import JITTER
from perdure.resilience.config_checks import check_numbers
from perdure.resilience.errors import check_name
from perdure.resilience.in_thread import taken_in_thread
from perdure.resilience.limits.lease_keeper import LeaseKeeper
from perdure.resilience.listeners import Listeners
from perdure.resilience.redis.keys import DEFAULT_PREFIX, permits_key
from perdure.resilience.redis.link import Clock, RedisLink, SharedStateUnavailable
from perdure.resilience.redis.lua_scripts import text
from perdure.resilience.service.deadline import capped
from perdure.system.fork_locks import fork_lock

FIRST_POLL_S = 0.01
LAST_POLL_S = 0.25
"""A waiter asks again after 10 ms, then after twice as long each time up to this, with jitter."""

WAITER_LEASE_MS = 2000
"""A waiter that died is no longer counted after this long."""


class PermitsConfig(Struct, frozen=True, kw_only=True):
    """A concurrency limit.

    Args:
        limit: how many may hold a permit of one key at once, in all processes together.
        lease: seconds after which a permit is free whose holder did not renew it.
        max_waiting: how many may wait for one key at once; None for any number.
        without_redis: while Redis is away, ``"local"`` lets each process grant ``limit`` permits by itself and
            ``"refuse"`` grants none.
    """

    limit: int
    lease: float = 30.0
    max_waiting: int | None = None
    without_redis: Literal["local", "refuse"] = "local"

    def __post_init__(self) -> None:
        check_numbers("permits", self)
        if self.limit < 1 or self.lease < 0.1:
            raise SettingsError(f"{self}: limit must be 1 or more, lease at least 0.1 s")


class PermitsSnapshot(Struct, frozen=True):
    """One key's permits at one moment. ``shared`` is False while Redis is away."""

    name: str
    key: str
    limit: int
    held: int
    waiting: int
    shared: bool


class PermitEvent(Struct, frozen=True):
    """A permit was ``granted`` after ``waited`` seconds, ``refused``, ``released``, or ``lost`` by its holder."""

    kind: Literal["granted", "refused", "released", "lost"]
    name: str
    key: str
    waited: float = 0.0


class Permit:
    """One permit. Release it, or use it as a context manager."""

    def __init__(self, owner: Permits, key: str, token: str, *, local: bool) -> None:
        self.key, self.token, self.local = key, token, local
        self.lost = False
        """The lease was over before it was renewed: somebody else may hold this permit."""
        self._owner, self._released = owner, False

    def release(self) -> None:
        """Give it back; doing it twice does nothing."""
        if not self._released:
            self._released = True
            self._owner._release(self)

    def renew(self) -> bool:
        """Start the lease anew now; False when it was over already. (The background thread does it by itself.)"""
        return self.local or self._owner._renew(self.key, [self.token]) == []

    def __enter__(self) -> Permit:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.release()


class Permits:
    """Permits by key under one limit per key. Thread-safe.

    Args:
        redis: a client or a URL.
        name: what is limited, such as a bulkhead or a task.
        config: the limit.
        clock: monotonic seconds.
        sleep: waits for so many seconds.
        rng: jitter of the polls.
        prefix: begins each key in Redis.
    """

    def __init__(
        self,
        redis: Redis | str,
        name: str,
        config: PermitsConfig,
        *,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        rng: Random | None = None,
        prefix: str = DEFAULT_PREFIX,
    ) -> None:
        check_name("permits", name)
        self.name, self.config = name, config
        self._link = RedisLink(redis, what=f"permits {name!r}", clock=clock)
        self._clock, self._sleep = clock, sleep
        self._prefix, self._rng = prefix, rng or JITTER
        self._lock = fork_lock()
        self._local_held: Counter[str] = Counter()
        self._listeners: Listeners[PermitEvent] = Listeners()
        self._keeper: LeaseKeeper[Permit] = LeaseKeeper(config.lease / 3, self._renew, self._lose)

    def acquire(self, key: str = "", *, timeout: float = 0.0, token: str | None = None) -> Permit:
        """Take a permit.

        Args:
            key: Whose permit; each key has its own limit.
            timeout: Seconds to wait for it, at most what the deadline leaves.
            token: Names the permit for :meth:`free`; the same one is granted once. A random one by default.

        Raises:
            BulkheadFull: none became free in time, or too many wait already.
        """
        began = self._clock()
        wait = capped(timeout) or 0.0
        token = token or secrets.token_hex(8)
        waiter = token if wait > 0 else ""
        poll = FIRST_POLL_S
        while True:
            outcome, free_in = self._try(key, token, waiter)
            left = wait - (self._clock() - began)
            if outcome == "granted" or outcome == "local":
                return self._granted(key, token, self._clock() - began, local=outcome == "local")
            if outcome == "crowded" or left <= 0:
                self._forget_waiter(key, waiter)
                self._listeners.emit(PermitEvent("refused", self.name, key, self._clock() - began))
                raise self._full(key, outcome)
            self._sleep(min(left, max(0.001, free_in), poll * self._rng.uniform(0.5, 1.0)))
            poll = min(poll * 2, LAST_POLL_S)

    async def acquire_async(self, key: str = "", *, timeout: float = 0.0) -> Permit:
        """Take a permit as :meth:`acquire` does, waiting in a thread. A cancelled task holds none.

        Args:
            key: Whose permit.
            timeout: Seconds to wait for it.

        Raises:
            BulkheadFull: none became free in time, or too many wait already.
        """
        return await taken_in_thread(lambda: self.acquire(key, timeout=timeout), Permit.release)

    def free(self, key: str, token: str) -> None:
        """Free the permit of a holder that is known to be gone.

        Args:
            key: Whose permit.
            token: The permit, as :meth:`acquire` was told.
        """
        self._drop(self._keys(key)[0], token)

    def snapshot(self, key: str = "") -> PermitsSnapshot:
        """Return how many hold and wait for permits of ``key``."""
        try:
            held, waiting = self._run("permits_read", key)
            return PermitsSnapshot(self.name, key, self.config.limit, held, waiting, shared=True)
        except SharedStateUnavailable:
            return PermitsSnapshot(self.name, key, self.config.limit, self._local_held[key], 0, shared=False)

    def listen(self, listener: Callable[[PermitEvent], None]) -> Callable[[], None]:
        """Call ``listener`` with each event of this process; returns a function that unsubscribes."""
        return self._listeners.add(listener)

    def _keys(self, key: str) -> list[str]:
        base = permits_key(self.name, key, self._prefix)
        return [base, f"{base}:waiting"]

    def _run(self, script: str, key: str, args: Sequence[str | int] = ()) -> Any:
        keys = self._keys(key)
        return self._link.run(lambda: self._link.scripts.run(script, keys, args), dict.fromkeys(keys, "zset"))

    def _try(self, key: str, token: str, waiter: str) -> tuple[str, float]:
        """Return granted, local, full or crowded, and the seconds until a lease ends."""
        config = self.config
        most = -1 if config.max_waiting is None else config.max_waiting
        args: list[str | int] = [token, config.limit, int(config.lease * 1000), waiter, most, WAITER_LEASE_MS]
        try:
            got, wait_ms, _, _, odd = self._run("permits_acquire", key, args)
        except SharedStateUnavailable:
            return self._try_locally(key), config.lease
        if odd:
            self._link.say_once(f"permits of key {key!r} in Redis had no sensible end and are removed")
        return {1: "granted", 0: "full", -1: "crowded"}[got], wait_ms / 1000

    def _try_locally(self, key: str) -> str:
        if self.config.without_redis == "refuse":
            return "full"
        with self._lock:
            # What this process holds in Redis counts too: it still runs.
            if self._local_held[key] + self._keeper.count(key) >= self.config.limit:
                return "full"
            self._local_held[key] += 1
            return "local"

    def _granted(self, key: str, token: str, waited: float, *, local: bool) -> Permit:
        permit = Permit(self, key, token, local=local)
        if not local:
            self._keeper.add(key, token, permit)
        self._listeners.emit(PermitEvent("granted", self.name, key, waited))
        return permit

    def _release(self, permit: Permit) -> None:
        if permit.local:
            with self._lock:
                self._local_held[permit.key] -= 1
        else:
            self._keeper.remove(permit.key, permit.token)
            self._drop(self._keys(permit.key)[0], permit.token)
        self._listeners.emit(PermitEvent("released", self.name, permit.key))

    def _forget_waiter(self, key: str, waiter: str) -> None:
        if waiter:
            self._drop(self._keys(key)[1], waiter)

    def _drop(self, key: str, member: str) -> None:
        try:
            self._link.run(lambda: self._link.client.zrem(key, member), {key: "zset"})
        except SharedStateUnavailable:
            return  # its lease ends by itself

    def _renew(self, key: str, tokens: list[str]) -> list[str]:
        """Prolong leases; returns the tokens that were lost. None is lost while Redis is away: nobody can take it."""
        args: list[str | int] = [int(self.config.lease * 1000), *tokens]
        try:
            lost = self._run("permits_renew", key, args)
        except SharedStateUnavailable:
            return []
        return [text(token) for token in lost]

    def _lose(self, key: str, permit: Permit) -> None:
        permit.lost = True
        self._listeners.emit(PermitEvent("lost", self.name, key))

    def _full(self, key: str, outcome: str) -> BulkheadFull:
        what = f"{self.name!r}" + (f" for key {key!r}" if key else "")
        if outcome == "crowded":
            return BulkheadFull(f"permits {what}: {self.config.max_waiting} callers wait already; try later")
        return BulkheadFull(f"permits {what}: all {self.config.limit} are held; wait longer, or raise the limit")
