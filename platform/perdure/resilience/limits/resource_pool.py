"""A pool of costly things (connections, sessions) in one process: bounded, checked, replaced when broken."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import time
import weakref
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct

from perdure.errors import BulkheadFull, SettingsError, did_you_mean
from perdure.resilience.config_checks import check_numbers
from perdure.resilience.in_thread import taken_in_thread
from perdure.resilience.listeners import Listeners
from perdure.resilience.probe import Finding, Probe
from perdure.resilience.redis.link import Clock
from perdure.resilience.service.deadline import capped, deadline
from perdure.system.fork_locks import fork_condition

T = TypeVar("T")

log = logging.getLogger("perdure.resilience")


PRESETS = {"critical": 10, "normal": 5, "background": 3}
"""Sizes of the presets, those of the bulkheads of the same names."""

PRESET_TIMEOUT = 5.0

SHORTEST_CHECK = 0.1
"""Seconds that an idle resource has for its validation also when the caller had to wait long, or does not want to wait."""


class PoolConfig(Struct, frozen=True, kw_only=True):
    """A pool's bounds.

    Args:
        size: resources in use and idle together.
        timeout: seconds that :meth:`ResourcePool.acquire` waits by default.
        max_age: seconds after which a resource is replaced when it comes back or is taken; None for never.
        max_idle: seconds in the pool after which a resource is replaced when it is taken; None for never.
    """

    size: int = 10
    timeout: float = 30.0
    max_age: float | None = None
    max_idle: float | None = None

    def __post_init__(self) -> None:
        check_numbers("pool", self, above_zero=("max_age", "max_idle"), from_zero=("timeout",), from_one=("size",))

    @classmethod
    def named(cls, preset: str) -> PoolConfig:
        """Return a preset: ``critical`` lends 10, ``normal`` 5, ``background`` 3; each waits for 5 s.

        Raises:
            SettingsError: there is no such preset.
        """
        if preset not in PRESETS:
            raise SettingsError(f"no pool preset {preset!r}.{did_you_mean(preset, PRESETS)} Presets: {', '.join(PRESETS)}")
        return cls(size=PRESETS[preset], timeout=PRESET_TIMEOUT)


class PoolSnapshot(Struct, frozen=True):
    """A pool at one moment."""

    name: str
    size: int
    in_use: int
    idle: int
    waiting: int
    created: int
    replaced: int


class PoolEvent(Struct, frozen=True):
    """A resource was ``created`` or ``replaced``, or a caller ``refused``."""

    kind: Literal["created", "replaced", "refused"]
    name: str


class _Item(Struct, Generic[T]):
    resource: T
    born: float
    life: object
    idle_since: float = 0.0


class ResourcePool(Generic[T]):
    """Lends resources to one user at a time. Thread-safe; who waits longest is served first.

    A forked process begins with an empty pool: it neither uses nor closes what belongs to its parent. In
    :meth:`acquire_async` the three functions may be coroutine functions.

    Args:
        name: for messages and metrics.
        create: makes a resource; what it raises reaches the caller of :meth:`acquire`. It must end by itself, in what
            :func:`~perdure.resilience.service.deadline.remaining` says is left.
        config: bounds.
        validate: says whether an idle resource still works; one that does not (or raises, or does not answer within the
            time of :meth:`acquire`) is replaced. It runs in a thread of its own, so that it can be given up.
        close: disposes of a resource; its errors are logged.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        create: Callable[[], T | Awaitable[T]],
        config: PoolConfig | None = None,
        *,
        validate: Callable[[T], object] | None = None,
        close: Callable[[T], object] = lambda resource: None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.name, self.config = name, config or PoolConfig()
        self._create, self._validate, self._close, self._clock = create, validate, close, clock
        self._listeners: Listeners[PoolEvent] = Listeners()
        self._inherited: list[_Item[T]] = []
        self._closed = False
        self._idle: deque[_Item[T]] = deque()
        self._begin_anew()
        _pools.add(self)

    @contextmanager
    def acquire(self, timeout: float | None = None) -> Iterator[T]:
        """Lend a resource for the ``with`` block.

        A block that raises gives its resource back only if it still validates.

        Args:
            timeout: seconds to wait for one that is free and works; default the configuration's; never more than the
                deadline leaves.

        Raises:
            BulkheadFull: none became free in time, or the pool is closed.
        """
        item = self._take(self._end_of(timeout))
        try:
            yield item.resource
        except BaseException:
            self._put_back(item, keep=self._is_young(item) and self._works(item, self.config.timeout))
            raise
        self._put_back(item, keep=self._is_young(item))

    @asynccontextmanager
    async def acquire_async(self, timeout: float | None = None) -> AsyncIterator[T]:
        """Lend a resource for the ``async with`` block, as :meth:`acquire` does. It is waited for in a thread.

        Raises:
            BulkheadFull: none became free in time, or the pool is closed.
        """
        item = await self._take_async(self._end_of(timeout))
        try:
            yield item.resource
        except BaseException:
            keep = self._is_young(item) and await self._works_async(item, self.config.timeout)
            await self._put_back_async(item, keep=keep)
            raise
        await self._put_back_async(item, keep=self._is_young(item))

    def close(self) -> None:
        """Dispose of idle resources and lend no more; those in use are disposed of when they come back."""
        for item in self._shut():
            self._dispose(item)

    async def close_async(self) -> None:
        """Close the pool as :meth:`close` does."""
        for item in self._shut():
            await self._dispose_async(item)

    def snapshot(self) -> PoolSnapshot:
        """Return how many are in use, idle and waited for."""
        with self._condition:
            return PoolSnapshot(
                self.name,
                self.config.size,
                self._in_use,
                len(self._idle),
                len(self._queue),
                self._created,
                self._replaced,
            )

    def listen(self, listener: Callable[[PoolEvent], None]) -> Callable[[], None]:
        """Call ``listener`` with each event; returns a function that unsubscribes."""
        return self._listeners.add(listener)

    def _begin_anew(self) -> None:
        """Forget what a parent has; its resources are kept from being collected, which would close them under it."""
        self._inherited += self._idle
        self._life = object()
        self._condition = fork_condition()
        self._idle = deque()
        self._queue: deque[object] = deque()
        self._in_use, self._created, self._replaced = 0, 0, 0

    def _end_of(self, timeout: float | None) -> float:
        return self._clock() + (capped(self.config.timeout if timeout is None else timeout) or 0.0)

    def _take(self, end: float) -> _Item[T]:
        self._reserve(end)
        try:
            end = max(end, self._clock() + SHORTEST_CHECK)
            while (item := self._next_idle(end)) is not None:
                if self._is_fresh(item) and self._works(item, end - self._clock()):
                    return item
                self._replace(item)
            with deadline(max(0.0, end - self._clock())):
                return self._made(self._create())
        except BaseException:
            self._unreserve(self._life)
            raise

    async def _take_async(self, end: float) -> _Item[T]:
        life = self._life
        await taken_in_thread(lambda: self._reserve(end), lambda reserved: self._unreserve(life))
        try:
            end = max(end, self._clock() + SHORTEST_CHECK)
            while (item := self._next_idle(end)) is not None:
                if self._is_fresh(item) and await self._checked_async(item, end - self._clock()):
                    return item
                self._replaced_one()
                await self._dispose_async(item)
            with deadline(max(0.0, end - self._clock())):
                return self._made(await _awaited(self._create))
        except BaseException:
            self._unreserve(life)
            raise

    def _reserve(self, end: float) -> None:
        """Wait for the right to hold one resource."""
        me = object()
        with self._condition:
            self._queue.append(me)
            try:
                while not self._closed and (self._queue[0] is not me or self._in_use >= self.config.size):
                    left = end - self._clock()
                    if left <= 0:
                        raise self._refused(f"all {self.config.size} resources are in use")
                    self._condition.wait(left)
                if self._closed:
                    raise self._refused("it is closed")
                self._in_use += 1
            finally:
                self._queue.remove(me)
                self._condition.notify_all()

    def _refused(self, why: str) -> BulkheadFull:
        self._listeners.emit(PoolEvent("refused", self.name))
        return BulkheadFull(f"pool {self.name!r}: {why}")

    def _unreserve(self, life: object) -> None:
        with self._condition:
            if life is self._life:
                self._in_use -= 1
            self._condition.notify_all()

    def _next_idle(self, end: float) -> _Item[T] | None:
        if self._clock() >= end:
            raise self._refused("no resource that works was there in time")
        with self._condition:
            return self._idle.pop() if self._idle else None

    def _made(self, resource: Any) -> _Item[T]:
        if inspect.iscoroutine(resource):
            resource.close()
            raise TypeError(f"pool {self.name!r}: create is asynchronous; use acquire_async")
        with self._condition:
            self._created += 1
        self._listeners.emit(PoolEvent("created", self.name))
        return _Item(resource, self._clock(), self._life)

    def _is_fresh(self, item: _Item[T]) -> bool:
        most = self.config.max_idle
        return self._is_young(item) and (most is None or self._clock() - item.idle_since < most)

    def _is_young(self, item: _Item[T]) -> bool:
        return self.config.max_age is None or self._clock() - item.born < self.config.max_age

    def _works(self, item: _Item[T], seconds: float) -> bool:
        validate = self._validate
        if validate is None or item.life is not self._life:
            return True
        return self._is_well(Probe(lambda: bool(validate(item.resource)), seconds).begin()())

    async def _works_async(self, item: _Item[T], seconds: float) -> bool:
        validate = self._validate
        if validate is None or item.life is not self._life:
            return True
        if not inspect.iscoroutinefunction(validate):
            return await asyncio.to_thread(self._works, item, seconds)

        async def check() -> bool:
            return bool(await validate(item.resource))

        return self._is_well(await Probe(check, seconds).ask_async())

    async def _checked_async(self, item: _Item[T], seconds: float) -> bool:
        """Validate an idle resource; it is idle again when the task is cancelled meanwhile."""
        try:
            return await self._works_async(item, seconds)
        except asyncio.CancelledError:
            self._kept(item, keep=True)
            raise

    def _is_well(self, finding: Finding) -> bool:
        if finding.error:
            log.warning("pool %r: a resource is broken and is replaced: %s", self.name, finding.error)
        return not finding.error

    def _put_back(self, item: _Item[T], *, keep: bool) -> None:
        if not self._kept(item, keep=keep):
            self._replace(item)
        self._unreserve(item.life)

    async def _put_back_async(self, item: _Item[T], *, keep: bool) -> None:
        if not self._kept(item, keep=keep):
            self._replaced_one()
            await self._dispose_async(item)
        self._unreserve(item.life)

    def _kept(self, item: _Item[T], *, keep: bool) -> bool:
        """Take a resource back into the pool, or say that it is not wanted there."""
        item.idle_since = self._clock()
        with self._condition:
            if item.life is not self._life:  # the parent's, lent when this process was forked
                self._inherited.append(item)
                return True
            if keep and not self._closed:
                self._idle.append(item)
                return True
        return False

    def _replace(self, item: _Item[T]) -> None:
        self._replaced_one()
        self._dispose(item)

    def _replaced_one(self) -> None:
        with self._condition:
            self._replaced += 1
        self._listeners.emit(PoolEvent("replaced", self.name))

    def _shut(self) -> list[_Item[T]]:
        with self._condition:
            self._closed = True
            items, self._idle = list(self._idle), deque()
            self._condition.notify_all()
        return items

    def _dispose(self, item: _Item[T]) -> None:
        try:
            closing = self._close(item.resource)
            if inspect.iscoroutine(closing):
                closing.close()
                raise TypeError("close is asynchronous; use acquire_async and close_async")
        except Exception:
            log.exception("pool %r: closing a resource failed", self.name)

    async def _dispose_async(self, item: _Item[T]) -> None:
        try:
            await _awaited(self._close, item.resource)
        except Exception:
            log.exception("pool %r: closing a resource failed", self.name)


async def _awaited(fn: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a thread, or await a coroutine function here."""
    if inspect.iscoroutinefunction(fn):
        return await fn(*args)
    result = await asyncio.to_thread(fn, *args)
    return await result if inspect.isawaitable(result) else result


_pools: weakref.WeakSet[ResourcePool[Any]] = weakref.WeakSet()


def _after_fork() -> None:
    for pool in list(_pools):
        pool._begin_anew()


os.register_at_fork(after_in_child=_after_fork)
