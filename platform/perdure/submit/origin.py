"""Where a job's function was made: whether a second one of the same name is the first one made anew, or another one.

A module that is loaded again and a notebook's cell that is run again make their functions anew, and these take the place of
the old ones. Two functions of one factory, two lambdas, or two ``def`` of one name in a file are different functions: the
second would silently run in the first one's place.

A function is the first one made anew when

- its module was loaded again since: it has new globals, or another ``__spec__``, as ``importlib.reload`` gives it;
- or it is the same in all that it does: the same code, with the same values in its closure and as its defaults;
- or it is defined at the top of a notebook, a console or ``exec``, where names are meant to be defined again.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

from msgspec import Struct


class Origin(Struct, frozen=True):
    """Where and as what a function was made, as of when it was registered.

    Attributes:
        place: Its module and qualified name.
        function: The function itself, within the decorators that say what they wrap.
        spec: Its module's ``__spec__`` at that time.
        captured: What its closures and defaults hold; functions as their origins.
    """

    place: str
    function: Any
    spec: Any
    captured: tuple[Any, ...]

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Origin:
        """Return a function's origin."""
        return _origin(function, frozenset())

    def is_made_anew_as(self, later: Origin) -> bool:
        """Return whether a function that was registered later is this one made anew; see the head of this file."""
        if self.place != later.place:
            return False
        if self.function is None or later.function is None:
            return self.function is later.function
        if self.function.__globals__ is not later.function.__globals__ or self.spec is not later.spec:
            return True
        return self._does_the_same_as(later) or _is_interactive(later.function)

    def _does_the_same_as(self, later: Origin) -> bool:
        assert self.function is not None
        assert later.function is not None
        return (
            self.function.__code__ == later.function.__code__
            and len(self.captured) == len(later.captured)
            and all(map(_same, self.captured, later.captured))
        )


def _origin(function: Callable[..., Any], within: frozenset[int]) -> Origin:
    place = f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"
    innermost = inspect.unwrap(function)
    if not isinstance(innermost, FunctionType):
        return Origin(place, None, None, ())
    within |= {id(function), id(innermost)}
    return Origin(place, innermost, innermost.__globals__.get("__spec__"), _captured(function, innermost, within))


def _captured(function: Callable[..., Any], innermost: FunctionType, within: frozenset[int]) -> tuple[Any, ...]:
    """Return what a function and its decorators hold on to; what is on the way to it already is left out."""
    held: list[Any] = []
    at: Any = function
    while isinstance(at, FunctionType):
        held += [*_contents(at), *(at.__defaults__ or ()), *(at.__kwdefaults__ or {}).values()]
        if at is innermost:
            break
        at = at.__wrapped__  # type: ignore[attr-defined]
    return tuple(
        _origin(each, within) if isinstance(each, FunctionType) else each for each in held if id(each) not in within
    )


def _contents(function: FunctionType) -> list[Any]:
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # nothing is in it yet
            continue
    return found


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Origin) and isinstance(other, Origin):
        return one.is_made_anew_as(other)
    try:
        return one is other or (type(one) is type(other) and bool(one == other))
    except Exception:  # noqa: BLE001 - values of any library; what cannot be compared is not the same
        return False


def _is_interactive(function: FunctionType) -> bool:
    """Return whether a function is defined at the top of what is no module's file."""
    if "<locals>" in function.__qualname__ or "<lambda>" in function.__qualname__:
        return False
    names = function.__globals__
    return names.get("__spec__") is None and names.get("__file__") != function.__code__.co_filename
