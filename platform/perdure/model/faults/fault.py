"""A fault that is injected on purpose: what it does, to what, how often, for how long. Pure; ``perdure.faults`` acts.

It always ends by itself: its end is part of it, and is at most :data:`LONGEST` away.
"""

from __future__ import annotations

import builtins
import math
import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from random import Random
from typing import Any

from msgspec import Struct

from perdure.errors import InjectedFault, InvalidFault, did_you_mean
from perdure.model.faults.places import BROKER, CHECKPOINTS, LEDGER, REDIS, Point

#: Seconds that a fault lasts at most, and when nothing is said.
LONGEST, DEFAULT_SECONDS = 3600.0, 60.0


class Kind(StrEnum):
    """What a fault does."""

    LATENCY = "latency"
    ERROR = "error"
    EXCEPTION = "exception"
    HANG = "hang"
    WRONG_RESULT = "wrong_result"
    SLOW_CHECKPOINT = "slow_checkpoint"
    FAILING_CHECKPOINT = "failing_checkpoint"
    BROKEN_STORE = "broken_store"
    LOST_ANSWER = "lost_answer"


#: Kinds that wait for a time of their own.
WAITING = frozenset({Kind.LATENCY, Kind.SLOW_CHECKPOINT})
_CODE = frozenset({Kind.LATENCY, Kind.ERROR, Kind.EXCEPTION, Kind.HANG})
_STORE = frozenset({Kind.LATENCY, Kind.HANG, Kind.BROKEN_STORE})
_LEDGER = _STORE | {Kind.LOST_ANSWER}
_CHECKPOINT = _LEDGER | {Kind.SLOW_CHECKPOINT, Kind.FAILING_CHECKPOINT}

#: What acts where: the kinds of fault by point, for each kind of target. What stands first is what is meant when no point
#: is named; of a store all are.
ACTS: dict[str, dict[Point, frozenset[Kind]]] = {
    "service": {Point.CALL: _CODE | {Kind.WRONG_RESULT}},
    "task": {
        Point.RUN: _CODE | {Kind.WRONG_RESULT},
        Point.STEP: _CODE | {Kind.WRONG_RESULT},
        Point.SAVE: _CHECKPOINT,
        Point.LOAD: _STORE,
    },
    "bulkhead": {
        Point.RUN: _CODE | {Kind.WRONG_RESULT},
        Point.STEP: _CODE | {Kind.WRONG_RESULT},
        Point.CLAIM: _LEDGER,
        Point.SETTLE: _LEDGER,
        Point.RING: _STORE,
        Point.SAVE: _CHECKPOINT,
        Point.LOAD: _STORE,
    },
    "duty": {Point.DUTY: _CODE},
    f"store:{LEDGER}": {
        Point.CLAIM: _LEDGER,
        Point.SETTLE: _LEDGER,
        Point.STATEMENT: _LEDGER,
        Point.COMMIT: _LEDGER - {Kind.BROKEN_STORE},
    },
    f"store:{CHECKPOINTS}": {Point.SAVE: _CHECKPOINT, Point.LOAD: _STORE},
    f"store:{BROKER}": {Point.RING: _STORE},
    f"store:{REDIS}": {Point.REDIS: _STORE},
}


class Fault(Struct, frozen=True, kw_only=True):
    """One injected fault.

    Attributes:
        id: Its name.
        kind: What it does.
        target: To what, as ``service:NAME``, ``task:NAME``, ``bulkhead:NAME``, ``duty:NAME`` or ``store:NAME``.
        at: The points at which it acts.
        owner: Who wanted it.
        began_at: Since when, in seconds since the epoch.
        ends_at: When it is over.
        seed: What decides which calls it strikes, the same ones in each process.
        probability: The share of calls that it strikes.
        delay: Seconds that it makes them wait.
        exception: The type that it raises: ``TimeoutError``, or ``module.Name`` of one that the process has loaded.
        result: What takes the place of a result.
        shared: Whether all processes see it, and not only the one that it was made in.
    """

    id: str
    kind: Kind
    target: str
    at: tuple[Point, ...]
    owner: str
    began_at: float
    ends_at: float
    seed: int
    probability: float = 1.0
    delay: float = 0.0
    exception: str | None = None
    result: Any = None
    shared: bool = True

    def __str__(self) -> str:
        return f"injected fault {self.id} ({self.kind} on {self.target}, by {self.owner})"

    def is_at(self, point: Point, where: Mapping[str, str]) -> bool:
        """Return whether it acts at a place."""
        what, _, name = self.target.partition(":")
        return point in self.at and where.get(what) == name

    def strikes(self, count: int) -> bool:
        """Return whether it strikes a call; pure, so that a seed gives the same ones again.

        Args:
            count: How many calls came before it.
        """
        return self.probability >= 1.0 or Random(f"{self.seed}:{count}").random() < self.probability  # noqa: S311

    def error(self) -> BaseException:
        """Return what it raises in code."""
        if self.exception is None:
            return InjectedFault(str(self))
        found = exception_type(self.exception)
        try:
            return InjectedFault(f"{self}: {self.exception} is not loaded here") if found is None else found(str(self))
        except Exception:  # noqa: BLE001 - a type that wants more than a text
            return InjectedFault(f"{self}: {self.exception} cannot be made from a text")


def exception_type(name: str) -> type[Exception] | None:
    """Return an exception's type; None when its module is not loaded: naming one runs no code.

    Raises:
        InvalidFault: There is no exception of that name.
    """
    module, _, short = name.rpartition(".")
    place = sys.modules.get(module) if module else builtins
    if place is None:
        return None
    found = vars(place).get(short)
    if not (isinstance(found, type) and issubclass(found, Exception)):
        known = [each for each, kind in vars(place).items() if isinstance(kind, type) and issubclass(kind, Exception)]
        raise InvalidFault(f"exception {name!r} is none.{did_you_mean(short, known)} Write TimeoutError or module.Name")
    return found


def fault_of(
    kind: str,
    target: str,
    *,
    id: str,
    owner: str,
    now: float,
    seed: int,
    seconds: float = DEFAULT_SECONDS,
    probability: float = 1.0,
    delay: float | None = None,
    exception: str | None = None,
    result: Any = None,
    at: str | None = None,
) -> Fault:
    """Return a fault that begins now.

    Args:
        kind: What it does; see :class:`Kind`.
        target: To what; see :class:`Fault`.
        id: Its name.
        owner: Who wants it.
        now: The time, in seconds since the epoch.
        seed: Decides which calls it strikes.
        seconds: How long it lasts, at most :data:`LONGEST`.
        probability: The share of calls that it strikes, above 0 and at most 1.
        delay: Seconds that ``latency`` and ``slow_checkpoint`` make a call wait.
        exception: The type that ``exception`` raises.
        result: What ``wrong_result`` returns, anything that JSON can say.
        at: The point at which it acts; by default where it is most often wanted.

    Raises:
        InvalidFault: It cannot be; the message says what can.
    """
    what = _kind(kind)
    checks = [
        (_is_within(seconds, LONGEST), f"it has to last for more than 0 and at most {LONGEST:g} seconds, not {seconds!r}"),
        (_is_within(probability, 1.0), f"its probability has to be above 0 and at most 1, not {probability!r}"),
        (bool(owner), "it needs an owner"),
        (what not in WAITING or _is_within(delay, LONGEST), f"{what} needs a delay in seconds, at most {LONGEST:g}"),
        (what in WAITING or delay is None, f"{what} has no delay; {_among(sorted(WAITING))} have"),
        (what is not Kind.EXCEPTION or bool(exception), "exception needs the exception's name, such as TimeoutError"),
        (what is Kind.EXCEPTION or exception is None, f"{what} raises no exception of your choice; exception does"),
        (what is Kind.WRONG_RESULT or result is None, f"{what} returns nothing; wrong_result does"),
    ]
    if problem := next((text for good, text in checks if not good), None):
        raise InvalidFault(f"{kind} on {target}: {problem}")
    if exception is not None:
        exception_type(exception)
    return Fault(
        id=id,
        kind=what,
        target=target,
        at=_points(what, target, at),
        owner=owner,
        began_at=now,
        ends_at=now + seconds,
        seed=seed,
        probability=probability,
        delay=delay or 0.0,
        exception=exception,
        result=result,
    )


def _kind(name: str) -> Kind:
    if name not in list(Kind):
        raise InvalidFault(f"kind {name!r} is none.{did_you_mean(name, map(str, Kind))} Kinds: {', '.join(Kind)}")
    return Kind(name)


def _points(kind: Kind, target: str, at: str | None) -> tuple[Point, ...]:
    what, _, name = target.partition(":")
    places = ACTS.get(target, {}) if what == "store" else ACTS.get(what, {})
    if not name or not places:
        targets = [each if ":" in each else f"{each}:NAME" for each in ACTS]
        raise InvalidFault(f"target {target!r} is none.{did_you_mean(target, targets)} Write {_among(targets)}")
    fitting = [point for point, kinds in places.items() if kind in kinds]
    if not fitting:
        can = [each for each, points in ACTS.items() if any(kind in kinds for kinds in points.values())]
        raise InvalidFault(f"{kind} does not act on {target}; it acts on {_among(can)}")
    if at is not None:
        if at not in fitting:
            raise InvalidFault(f"{kind} does not act on {target} at {at!r}; it does at {_among(fitting)}")
        return (Point(at),)
    if what == "store":
        return tuple(fitting)
    if fitting[0] is next(iter(places)) or len(fitting) == 1:
        return (fitting[0],)
    raise InvalidFault(f"{kind} on {target}: say at which point it acts: {_among(fitting)}")


def _is_within(value: float | None, most: float) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and 0 < value <= most


def _among(names: Iterable[str]) -> str:
    *rest, last = names
    return f"{', '.join(rest)} or {last}" if rest else last
