"""A pool of costly things (connections, sessions) in one process: bounded, checked, replaced when broken."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from perdure.errors import BulkheadFull, SettingsError
from perdure.resilience.listeners import Listeners
from perdure.resilience.redis.link import Clock
from perdure.resilience.service.deadline import capped
from perdure.system.fork_locks import fork_condition

T = TypeVar("T")

log = logging.getLogger("perdure.resilience")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
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
        if self.size < 1:
            raise SettingsError(f"{self}: size must be 1 or more")


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """A pool at one moment."""

    name: str
    size: int
    in_use: int
    idle: int
    waiting: int
    created: int
    replaced: int


@dataclass(frozen=True, slots=True)
class PoolEvent:
    """A resource was ``created`` or ``replaced``, or a caller ``refused``."""

    kind: Literal["created", "replaced", "refused"]
    name: str


@dataclass(slots=True)
class _Item(Generic[T]):
    resource: T
    born: float
    idle_since: float = 0.0


class ResourcePool(Generic[T]):
    """Lends resources to one user at a time. Thread-safe; who waits longest is served first.

    Args:
        name: for messages and metrics.
        create: makes a resource; what it raises reaches the caller of :meth:`acquire`.
        config: bounds.
        validate: says whether an idle resource still works; one that does not (or raises) is replaced.
        close: disposes of a resource; its errors are logged.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        create: Callable[[], T],
        config: PoolConfig | None = None,
        *,
        validate: Callable[[T], bool] = lambda resource: True,
        close: Callable[[T], None] = lambda resource: None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.name, self.config = name, config or PoolConfig()
        self._create, self._validate, self._close, self._clock = create, validate, close, clock
        self._condition = fork_condition()
        self._idle: deque[_Item[T]] = deque()
        self._queue: deque[object] = deque()
        self._in_use, self._created, self._replaced = 0, 0, 0
        self._closed = False
        self._listeners: Listeners[PoolEvent] = Listeners()

    @contextmanager
    def acquire(self, timeout: float | None = None) -> Iterator[T]:
        """Lend a resource for the ``with`` block.

        A block that raises gives its resource back only if it still validates.

        Args:
            timeout: seconds to wait for a free one; default the configuration's; never more than the deadline leaves.

        Raises:
            BulkheadFull: none became free in time, or the pool is closed.
        """
        item = self._take(self.config.timeout if timeout is None else timeout)
        try:
            yield item.resource
        except BaseException:
            self._put_back(item, suspicious=True)
            raise
        self._put_back(item, suspicious=False)

    def close(self) -> None:
        """Dispose of idle resources and lend no more; those in use are disposed of when they come back."""
        with self._condition:
            self._closed = True
            items, self._idle = list(self._idle), deque()
            self._condition.notify_all()
        for item in items:
            self._dispose(item)

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

    def _take(self, timeout: float) -> _Item[T]:
        try:
            self._reserve(capped(timeout) or 0.0)
        except BulkheadFull:
            self._listeners.emit(PoolEvent("refused", self.name))
            raise
        try:
            while True:
                with self._condition:
                    item = self._idle.pop() if self._idle else None
                if item is None:
                    return self._make()
                if self._usable(item):
                    return item
                self._replace(item)
        except BaseException:
            self._unreserve()
            raise

    def _reserve(self, timeout: float) -> None:
        """Wait for the right to hold one resource."""
        me, end = object(), self._clock() + timeout
        with self._condition:
            self._queue.append(me)
            try:
                while not self._closed and (self._queue[0] is not me or self._in_use >= self.config.size):
                    left = end - self._clock()
                    if left <= 0:
                        raise BulkheadFull(f"pool {self.name!r}: all {self.config.size} resources are in use")
                    self._condition.wait(left)
                if self._closed:
                    raise BulkheadFull(f"pool {self.name!r} is closed")
                self._in_use += 1
            finally:
                self._queue.remove(me)
                self._condition.notify_all()

    def _unreserve(self) -> None:
        with self._condition:
            self._in_use -= 1
            self._condition.notify_all()

    def _make(self) -> _Item[T]:
        resource = self._create()
        with self._condition:
            self._created += 1
        self._listeners.emit(PoolEvent("created", self.name))
        return _Item(resource, self._clock())

    def _usable(self, item: _Item[T]) -> bool:
        now, config = self._clock(), self.config
        if self._too_old(item) or (config.max_idle is not None and now - item.idle_since >= config.max_idle):
            return False
        return self._works(item)

    def _too_old(self, item: _Item[T]) -> bool:
        return self.config.max_age is not None and self._clock() - item.born >= self.config.max_age

    def _works(self, item: _Item[T]) -> bool:
        try:
            return self._validate(item.resource)
        except Exception:
            log.exception("pool %r: a resource is broken and is replaced", self.name)
            return False

    def _put_back(self, item: _Item[T], *, suspicious: bool) -> None:
        keep = not self._too_old(item) and (not suspicious or self._works(item))
        item.idle_since = self._clock()
        with self._condition:
            keep = keep and not self._closed
            if keep:
                self._idle.append(item)
        if not keep:
            self._replace(item)
        self._unreserve()

    def _replace(self, item: _Item[T]) -> None:
        with self._condition:
            self._replaced += 1
        self._listeners.emit(PoolEvent("replaced", self.name))
        self._dispose(item)

    def _dispose(self, item: _Item[T]) -> None:
        try:
            self._close(item.resource)
        except Exception:
            log.exception("pool %r: closing a resource failed", self.name)
