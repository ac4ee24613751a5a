"""Which call a kept value answers: a fallback must never give one caller what another one asked for.

A call is known by its function and its arguments. A function is known when its module has it under its name; a lambda, a
function inside of another one, a method of an object or an object that is called holds things that no name tells. Arguments
are known when they are plain values. All else needs a key of the caller's: :func:`keyed`, or a fallback's ``key=``.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any, Generic, ParamSpec, TypeVar, get_type_hints

from perdure.errors import Unserialisable
from perdure.model.codec.codec import compare, dumps, to_plain, untagged

P = ParamSpec("P")
R = TypeVar("R")


class CannotTellApart(Exception):
    """Two calls that look the same may be different ones; the message says why."""


class Keyed(Generic[P, R]):
    """A function with the key of what it will answer; made by :func:`keyed`."""

    def __init__(self, key: object, fn: Callable[P, R]) -> None:
        self.key, self.fn = key, fn

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function."""
        return self.fn(*args, **kwargs)


def keyed(key: object, fn: Callable[P, R]) -> Callable[P, R]:
    """Return ``fn`` with a key: ``service.call(keyed(order.id, lambda: fetch(order)))``.

    Calls of one fallback with the same key and arguments share a last good value, whatever their functions are.

    Args:
        key: a plain value (text, number, tuple of such, ...) that names what is asked for, and for whom.
        fn: a function or coroutine function.
    """
    return Keyed(key, fn)


def digest(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], key: Callable[..., object] | None) -> str:
    """Return what stands for a call in a key of Redis; a hash, because arguments may be long or secret.

    Args:
        fn: what is called; its ``keyed`` key wins.
        args: its positional arguments.
        kwargs: its keyword arguments.
        key: what makes a key of the arguments, in place of the function's name and the arguments themselves.

    Raises:
        CannotTellApart: two calls of the same digest might be different ones.
    """
    if isinstance(fn, functools.partial):
        bound: functools.partial[Any] = fn
        return digest(bound.func, (*bound.args, *args), {**bound.keywords, **kwargs}, key)
    if isinstance(fn, Keyed):
        identity: list[Any] = ["keyed", fn.key, args, kwargs]
    elif key is not None:
        identity = ["key", key(*args, **kwargs)]
    else:
        identity = ["named", name_of(fn), args, kwargs]
    try:
        plain = to_plain(identity, what="the call")
        compare(identity, untagged(plain), "the call")
        return hashlib.sha256(dumps(plain, sort=True).encode()).hexdigest()[:32]
    except Unserialisable as error:
        raise CannotTellApart(str(error)) from error


def name_of(fn: Callable[..., Any]) -> str:
    """Return the name under which a function's module has it.

    Raises:
        CannotTellApart: its module has no such function there.
    """
    module, name = getattr(fn, "__module__", None), getattr(fn, "__qualname__", None)
    if module is None or name is None or "<" in name:
        raise CannotTellApart(f"{_shown(fn)} has no name of its own")
    found = reduce(lambda owner, part: getattr(owner, part, None), name.split("."), sys.modules.get(module))
    if not any(each is fn or each == fn for each in _layers(found)):
        raise CannotTellApart(f"{_shown(fn)} is not what its module has under its name")
    return f"{module}.{name}"


def returned_type(fn: Callable[..., Any]) -> Any:
    """Return the annotation of what a function returns; Any when it has none that can be read."""
    while isinstance(fn, (functools.partial, Keyed)):
        fn = fn.func if isinstance(fn, functools.partial) else fn.fn
    try:
        return get_type_hints(inspect.unwrap(fn)).get("return", Any)
    except Exception:  # noqa: BLE001 - names that exist for type checkers only, objects without annotations
        return Any


def _layers(found: Any) -> Iterator[Any]:
    """Yield a function and what its decorators wrap: a protected function calls what is inside of itself."""
    while found is not None:
        yield found
        found = getattr(found, "__wrapped__", None)


def _shown(fn: Callable[..., Any]) -> str:
    return f"{getattr(fn, '__module__', '')}.{getattr(fn, '__qualname__', type(fn).__qualname__)}"
