"""Locks that a forked child finds free, whichever thread of its parent held them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload
from weakref import WeakSet

from perdure.system.fork_gate import gate

T = TypeVar("T")

_made: WeakSet[Any] = WeakSet()


def fork_lock() -> threading.Lock:
    """Return a lock. What it guards should be whole at any moment, or made anew in a child."""
    return _registered(threading.Lock())


def fork_condition() -> threading.Condition:
    """Return a condition with a lock of its own; nobody waits for it in a child."""
    return _registered(threading.Condition())


class once(Generic[T]):  # noqa: N801 - used as the decorator that it is
    """A property that is made when it is first asked for, once for all threads of a process.

    ``functools.cached_property`` has a lock that a child inherits locked (up to Python 3.11), or none, so that two
    threads get two objects. Forks wait while one is made: what it imports has locks as well.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self._lock: Any = _registered(threading.RLock())
        self.__doc__ = make.__doc__

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def is_made(self, instance: object) -> bool:
        """Return whether it has been asked for."""
        return self._name in instance.__dict__

    @overload
    def __get__(self, instance: None, owner: type) -> once[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> once[T] | T:
        if instance is None:
            return self
        with gate, self._lock:
            kept = instance.__dict__
            if self._name not in kept:
                kept[self._name] = self._make(instance)
            value: T = kept[self._name]
            return value


def _registered(lock: T) -> T:
    _made.add(lock)
    return lock


def _free_all() -> None:
    for lock in list(_made):
        lock._at_fork_reinit()  # what the standard library does with its own


os.register_at_fork(after_in_child=_free_all)
