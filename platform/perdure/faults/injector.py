"""What acts at a process' places: it knows which faults are on, asks Redis anew twice a second, and does what they want."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any, Literal, ParamSpec, TypeVar, cast

from msgspec import Struct, field

from perdure.errors import InjectedFault
from perdure.faults.shared_faults import SharedFaults
from perdure.model.faults.fault import Fault, Kind
from perdure.model.faults.places import Broken, Point
from perdure.resilience.listeners import Listeners
from perdure.resilience.redis.link import SharedStateUnavailable
from perdure.system.fork_locks import fork_lock

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger("perdure.faults")

#: Seconds between two looks for what others have switched on or off.
LOOK_EVERY = 0.5
#: Seconds of one piece of a wait: then it is seen whether the fault is still on.
PIECE = 0.05


class FaultEvent(Struct, frozen=True):
    """A fault ``began`` or ``ended`` as this process sees it, or ``struck`` here."""

    what: Literal["began", "struck", "ended"]
    fault: Fault


class _On(Struct):
    """A fault that is on, and until when by this process' monotonic clock."""

    fault: Fault
    ends_at: float
    calls: Iterator[int] = field(default_factory=count)


class Injector:
    """Injects faults into one process. Thread-safe; a forked child goes on with what its parent knew.

    Args:
        shared: The faults that all processes see.
        events: Told of each fault that begins, strikes or ends here.
    """

    def __init__(self, shared: SharedFaults, events: Listeners[FaultEvent]) -> None:
        self._shared, self._events = shared, events
        self._on: dict[str, _On] = {}
        self._look_at = 0.0
        self._lock = fork_lock()

    def wrapped(
        self, work: Callable[P, R], point: Point, broken: Broken | None, where: Mapping[str, str]
    ) -> Callable[P, R]:
        """See :func:`~perdure.model.faults.places.faulty`."""

        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            struck = self._struck(point, where)
            for each in struck:
                for pause in self._pauses(each):
                    time.sleep(pause)
            _raise_before(struck, broken)
            return _answered(work(*args, **kwargs), struck, broken)

        return call

    def wrapped_async(
        self, work: Callable[P, Awaitable[R]], point: Point, where: Mapping[str, str]
    ) -> Callable[P, Awaitable[R]]:
        """See :func:`~perdure.model.faults.places.faulty_async`."""

        async def call(*args: P.args, **kwargs: P.kwargs) -> R:
            await asyncio.to_thread(self.look)  # asks Redis, which the loop must not wait for
            struck = self._struck(point, where)
            for each in struck:
                for pause in self._pauses(each):
                    await asyncio.sleep(pause)
            _raise_before(struck, None)
            return _answered(await work(*args, **kwargs), struck, None)

        return call

    def add(self, fault: Fault) -> None:
        """Have a fault act in this process alone."""
        with self._lock:
            self._on[fault.id] = _On(fault, time.monotonic() + fault.ends_at - fault.began_at)
        self._tell("began", fault)

    def remove(self, fault_id: str) -> None:
        """End a fault here; it is no error when it is over."""
        with self._lock:
            gone = self._on.pop(fault_id, None)
        if gone is not None:
            self._tell("ended", gone.fault)

    def on(self) -> list[Fault]:
        """Return the faults that this process knows to be on."""
        moment = time.monotonic()
        return [each.fault for each in list(self._on.values()) if moment < each.ends_at]

    def look(self, *, now: bool = False) -> None:
        """See what others have switched on or off, unless that was seen a moment ago.

        Args:
            now: Whether to look also when it was. Then it raises what a look may:

        Raises:
            SharedStateUnavailable: Redis does not answer; this process goes on with what it knew.
        """
        if not (now or time.monotonic() >= self._look_at):
            return
        self._look_at = time.monotonic() + LOOK_EVERY  # others need not wait for this look
        try:
            self._learn(*self._shared.read())
        except SharedStateUnavailable:
            moment = time.monotonic()
            self._end(lambda one: moment >= one.ends_at)
            if now:
                raise

    def _struck(self, point: Point, where: Mapping[str, str]) -> Sequence[_On]:
        """Return the faults that strike what is done now."""
        if self._shared.is_asked_here:
            return ()
        self.look()
        if not self._on:
            return ()
        moment = time.monotonic()
        here = [each for each in list(self._on.values()) if moment < each.ends_at and each.fault.is_at(point, where)]
        struck = [each for each in here if each.fault.strikes(next(each.calls))]
        for each in struck:
            self._tell("struck", each.fault)
        return struck

    def _pauses(self, one: _On) -> Iterator[float]:
        """Yield the pieces of the wait that a fault wants; it ends with the fault, whatever was wanted."""
        until = one.ends_at
        if one.fault.kind is not Kind.HANG:
            until = min(until, time.monotonic() + one.fault.delay)
        while (left := until - time.monotonic()) > 0 and one.fault.id in self._on:
            yield min(left, PIECE)
            self.look()

    def _learn(self, now: float, faults: Sequence[Fault]) -> None:
        moment, seen = time.monotonic(), {each.id for each in faults}
        with self._lock:
            new = [each for each in faults if each.id not in self._on]
            self._on |= {each.id: _On(each, moment + each.ends_at - now) for each in new}
        for each in new:
            self._tell("began", each)
        self._end(lambda one: moment >= one.ends_at or (one.fault.shared and one.fault.id not in seen))

    def _end(self, is_over: Callable[[_On], bool]) -> None:
        for each in [one.fault for one in list(self._on.values()) if is_over(one)]:
            self.remove(each.id)

    def _tell(self, what: Literal["began", "struck", "ended"], fault: Fault) -> None:
        if what != "struck":
            logger.warning("%s %s", fault, "is on" if what == "began" else "is over")
        self._events.emit(FaultEvent(what, fault))


def _raise_before(struck: Sequence[_On], broken: Broken | None) -> None:
    for each in struck:
        if each.fault.kind in (Kind.ERROR, Kind.EXCEPTION):
            raise each.fault.error()
        if each.fault.kind in (Kind.BROKEN_STORE, Kind.FAILING_CHECKPOINT):
            raise (broken or InjectedFault)(str(each.fault))


def _answered(value: R, struck: Sequence[_On], broken: Broken | None) -> R:
    for each in struck:
        if each.fault.kind is Kind.WRONG_RESULT:
            value = cast(Any, each.fault.result)
        if each.fault.kind is Kind.LOST_ANSWER:
            raise (broken or InjectedFault)(f"{each.fault}: it was done, and the answer is lost")
    return value
