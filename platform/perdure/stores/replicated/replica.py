"""One store among several: its calls run in threads of their own, so that a slow or stuck one holds nobody up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, Final, Generic, TypeVar

from msgspec import Struct, field

from perdure.model.storage_errors import StoreUnavailable
from perdure.stores.protocol import CheckpointStore
from perdure.system.fork_locks import fork_lock

T = TypeVar("T")

MAX_CALLS: Final = 64
"""Calls in flight to one store; a store with more is stuck, and is refused at once instead of collecting threads."""


class Replica:
    """A store and its calls in flight.

    Threads are daemons: a call that never returns (a dead NFS mount) must not keep the process from ending, which a
    ``ThreadPoolExecutor`` would.
    """

    def __init__(self, store: CheckpointStore) -> None:
        self.store, self.name = store, store.name
        self._lock = fork_lock()
        self._in_flight: set[Future[Any]] = set()

    def start(self, call: Callable[[CheckpointStore], T]) -> Future[T]:
        """Run ``call`` on the store in a thread and return its future."""
        future: Future[T] = Future()
        with self._lock:
            if len(self._in_flight) >= MAX_CALLS:
                future.set_exception(StoreUnavailable(f"{self.name}: stuck, {MAX_CALLS} calls wait for its answer"))
                return future
            self._in_flight.add(future)
        threading.Thread(target=self._run, args=(call, future), name=f"store-{self.name}", daemon=True).start()
        return future

    def _run(self, call: Callable[[CheckpointStore], T], future: Future[T]) -> None:
        try:
            value = call(self.store)
        except BaseException as error:  # noqa: BLE001 - whatever a store raises, it is this store's answer
            self._forget(future)
            future.set_exception(error)
        else:
            self._forget(future)
            future.set_result(value)

    def _forget(self, future: Future[Any]) -> None:
        with self._lock:
            self._in_flight.discard(future)

    def in_flight(self) -> set[Future[Any]]:
        """Return the futures of the calls that have not ended."""
        with self._lock:
            return set(self._in_flight)


class Answers(Struct, Generic[T]):
    """What the stores said to one question, by store name."""

    values: dict[str, T] = field(default_factory=dict)
    errors: dict[str, BaseException] = field(default_factory=dict)
    pending: dict[str, Future[T]] = field(default_factory=dict)

    def reasons(self, timeout: float) -> dict[str, str]:
        """Return why stores have not answered in so many seconds, those that are still at it included."""
        late = dict.fromkeys(self.pending, f"no answer within {timeout:g} s")
        return {name: str(error) or type(error).__name__ for name, error in self.errors.items()} | late


def ask(
    replicas: Iterable[Replica],
    call: Callable[[CheckpointStore], T],
    *,
    timeout: float,
    enough: Callable[[Mapping[str, T]], bool] = lambda values: False,
) -> Answers[T]:
    """Ask all ``replicas`` at once; return when all have answered, time is over, or there is ``enough``.

    Args:
        replicas: whom to ask.
        call: what to do on each store.
        timeout: seconds to wait for the slowest.
        enough: given the values so far, whether to wait for no more. Calls in flight go on.
    """
    names = {replica.start(call): replica.name for replica in replicas}
    answers: Answers[T] = Answers(pending={name: future for future, name in names.items()})
    deadline = time.monotonic() + timeout
    while answers.pending and not enough(answers.values):
        remaining = deadline - time.monotonic()
        done = wait(answers.pending.values(), max(0.0, remaining), return_when=FIRST_COMPLETED).done
        if not done:
            break
        for future in done:
            name = names[future]
            del answers.pending[name]
            error = future.exception()
            if error is not None:
                answers.errors[name] = error
            else:
                answers.values[name] = future.result()
    return answers
