"""The places in the code where an injected fault can act, each one line there.

A process whose settings do not allow faults has nothing that acts: :func:`faulty` gives back what it was given.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

#: Makes the error of a store that is broken, or whose answer is lost, from a text.
Broken = Callable[[str], Exception]


class Point(StrEnum):
    """What a fault can act on."""

    CALL = "call"
    RUN = "run"
    STEP = "step"
    DUTY = "duty"
    SAVE = "save"
    LOAD = "load"
    CLAIM = "claim"
    SETTLE = "settle"
    STATEMENT = "statement"
    COMMIT = "commit"
    RING = "ring"
    REDIS = "redis"


class At(NamedTuple):
    """Which of the ledger's statements these are, and in which bulkhead when they belong to one."""

    points: Sequence[Point] = (Point.STATEMENT,)
    bulkhead: str = ""


#: A statement that is neither a claim nor a settlement.
STATEMENT = At()
#: The stores' names.
LEDGER, CHECKPOINTS, BROKER, REDIS = "ledger", "checkpoints", "broker", "redis"


class Acting(Protocol):
    """What acts at the places of a process."""

    def wrapped(
        self, work: Callable[P, R], point: Point, broken: Broken | None, where: Mapping[str, str]
    ) -> Callable[P, R]:
        """See :func:`faulty`."""

    def wrapped_async(
        self, work: Callable[P, Awaitable[R]], point: Point, where: Mapping[str, str]
    ) -> Callable[P, Awaitable[R]]:
        """See :func:`faulty_async`."""


_acting: Acting | None = None


def faulty(work: Callable[P, R], point: Point, broken: Broken | None = None, /, **where: str) -> Callable[P, R]:
    """Return work on which injected faults act; the same work in a process that allows none.

    Args:
        work: What may go wrong.
        point: Which kind of place this is.
        broken: Makes the error that the place raises when its store fails.
        where: What it belongs to: ``service``, ``task``, ``bulkhead``, ``duty`` or ``store``, each by its name.
    """
    return work if _acting is None else _acting.wrapped(work, point, broken, where)


def faulty_async(work: Callable[P, Awaitable[R]], point: Point, /, **where: str) -> Callable[P, Awaitable[R]]:
    """Return asynchronous work on which injected faults act, as :func:`faulty` does."""
    return work if _acting is None else _acting.wrapped_async(work, point, where)


def let_act(acting: Acting | None) -> Acting | None:
    """Have ``acting`` act at all places of this process, or nothing; return what did before."""
    global _acting
    before, _acting = _acting, acting
    return before
