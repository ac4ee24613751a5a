"""A plain service's own state, kept like a job's: saved every few seconds, found again at the next start.

Records, stores and the shape of states are those of jobs' checkpoints. What a claim's fence is for a job, an epoch is here:
each start takes the next one, so a process that was replaced and wakes up saves nothing over its successor's state.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

from perdure.model import checkpoint_schema as states
from perdure.model.checkpoint_schema import StateMismatch, StatePolicy
from perdure.model.storage_errors import StaleWrite, StoreUnavailable
from perdure.resilience.config_checks import check_above_zero
from perdure.stores.protocol import CheckpointStore
from perdure.stores.record import CheckpointRecord, Version, check_name
from perdure.system.fork_locks import fork_lock

logger = logging.getLogger("perdure.stores")

DEFAULT_INTERVAL: Final = 10.0

#: Times that a process which begins at the same moment as another one tries again.
TRIES: Final = 5

_NONE: Final = Version(0, 0)


class ServiceState:
    """The checkpoint of one service. Thread-safe.

    Args:
        store: where it is kept: one store, or a :class:`~perdure.stores.replicated.replicated.ReplicatedStore`.
        service: whose state it is: 1-128 characters of ``A-Z a-z 0-9 _ . : @ + = -``.
        name: which of its states, if it has several.
        interval: seconds from one save to the next.
        policy: the version of the state's shape, how older ones are migrated, and what becomes of one of another shape:
            ``park`` raises, ``restart`` is a clean start.

    Raises:
        InvalidRecord: a name cannot be stored.
        SettingsError: the interval is not above 0.
    """

    def __init__(
        self,
        store: CheckpointStore,
        service: str,
        *,
        name: str = "main",
        interval: float = DEFAULT_INTERVAL,
        policy: StatePolicy | None = None,
    ) -> None:
        check_above_zero(f"state of {service!r}: interval", interval)
        self._store, self._policy = store, policy or StatePolicy()
        self._service, self._name = check_name("service", service), check_name("state name", name)
        self.interval = interval
        self._lock = fork_lock()
        self._type: Any = Any
        self._version: Version | None = None
        self._due_at = 0.0

    def restore(self, default: Any = None, *, type: Any = Any) -> Any:
        """Begin: take the next epoch and return the state that was saved last, or ``default`` when there is none.

        A damaged version is passed over for the one before it.

        Args:
            default: What a clean start begins with.
            type: What the state is to be: a msgspec struct, a dataclass, a pydantic model, or anything that an annotation
                can say.

        Raises:
            StateMismatch: The state has another shape, and the policy says to park it.
            MissingKey: It is authenticated with a key that the store does not have.
            StoreUnavailable: The store cannot be read or written.
            StaleWrite: Others begin at the same moment, again and again.
        """
        with self._lock:
            self._type = type
            for tries_left in reversed(range(TRIES)):
                found = self._store.load(self._service, self._name)
                state, data = self._unpacked(found, default)
                try:
                    self._begin(found, data)
                except StaleWrite:  # another process begins at the same moment
                    if not tries_left:
                        raise
                else:
                    break
            return state

    async def restore_async(self, default: Any = None, *, type: Any = Any) -> Any:
        """Begin as :meth:`restore` does; the store is read in a thread."""
        return await asyncio.to_thread(lambda: self.restore(default, type=type))

    def start_clean(self) -> None:
        """Begin without what was saved, and forget it: a version like any other, so that no older one comes back.

        Raises:
            StoreUnavailable: The store cannot take it.
        """
        with self._lock:
            self._begin(self._store.load(self._service, self._name), b"")

    def due(self) -> bool:
        """Return whether ``interval`` seconds have passed since the last save."""
        return time.monotonic() >= self._due_at

    def save(self, state: Any) -> None:
        """Save a state.

        Raises:
            RuntimeError: Neither :meth:`restore` nor :meth:`start_clean` came before.
            Unserialisable: The state has no faithful JSON form.
            StaleWrite: Another process of the service has begun since: this one must stop.
            StoreUnavailable: The store cannot take it; save again later.
        """
        with self._lock:
            self._write(states.pack(state, self._policy.version, self._type, self._title))

    async def save_async(self, state: Any) -> None:
        """Save a state as :meth:`save` does, in a thread; do not change it meanwhile."""
        await asyncio.to_thread(self.save, state)

    @contextmanager
    def saving(self, state: Callable[[], Any]) -> Iterator[None]:
        """Save what ``state`` returns each interval from a thread while the block runs, and once at its end.

        The thread calls it: return a copy, or take the service's lock. A store that is away is tried again.

        Raises:
            StaleWrite: At the end of the block: another process of the service has begun since, and nothing is saved.
            StoreUnavailable: At the end of the block: the last state could not be saved.
        """
        stop = threading.Event()

        def run() -> None:
            while not stop.wait(self.interval):
                with self._trying():
                    self.save(state())

        thread = threading.Thread(target=run, name=f"perdure-state-{self._service}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self.save(state())

    @asynccontextmanager
    async def saving_async(self, state: Callable[[], Any]) -> AsyncIterator[None]:
        """Save as :meth:`saving` does from this event loop: ``state`` is called in it, the store in a thread."""

        stop = asyncio.Event()

        async def run() -> None:
            while not stop.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self.interval)
                    return
                with self._trying():
                    await self.save_async(state())

        task = asyncio.create_task(run(), name=f"perdure-state-{self._service}")
        try:
            yield
        finally:
            stop.set()
            await task  # a save that is under way must not come after the last one
            await self.save_async(state())

    @contextmanager
    def _trying(self) -> Iterator[None]:
        """Save, or say why not: the next save may succeed."""
        try:
            yield
        except StaleWrite as error:
            logger.error("%s", error)
        except StoreUnavailable as error:
            logger.warning("%s is saved later: %s", self._title, error)
        except Exception:
            logger.exception("%s could not be saved", self._title)

    def _unpacked(self, found: CheckpointRecord | None, default: Any) -> tuple[Any, bytes]:
        """Return the state in a record, and its bytes; those of a clean start are empty."""
        if found is None or found.cleared:
            return default, b""
        try:
            return states.unpack(found.data, self._policy, self._type, self._title).value, found.data
        except StateMismatch as error:
            if self._policy.otherwise == "park":
                raise
            logger.warning("%s; it starts again, as its policy says", error)
            return default, b""

    def _begin(self, found: CheckpointRecord | None, data: bytes) -> None:
        """Take the next epoch, in the store: what a process of an older one saves from now on is refused."""
        head = self._store.head(self._service, self._name)
        before = max(head or _NONE, found.version if found is not None else _NONE)
        self._version = Version(before.fence + 1, 0)
        self._write(data)

    def _write(self, data: bytes) -> None:
        if self._version is None:
            raise RuntimeError(f"{self._title}: call restore() or start_clean() before save()")
        self._version = Version(self._version.fence, self._version.seq + 1)  # a number that failed is used up
        fence, seq = self._version
        self._store.save(CheckpointRecord(self._service, self._name, seq=seq, fence=fence, data=data, saved_at=time.time()))
        self._due_at = time.monotonic() + self.interval

    @property
    def _title(self) -> str:
        return f"state {self._name!r} of service {self._service}"
