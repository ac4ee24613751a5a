"""Modules that are loaded when something of them is first used: who submits never waits for what manages."""

from __future__ import annotations

import importlib
from typing import Any


class Later:
    """Stands for a module until something of it is used, and passes on whatever is asked of it.

    In place of ``importlib.util.LazyLoader``, with which two threads may run a module twice (up to Python 3.12).

    Args:
        name: The module.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


def later(package: str, *names: str) -> tuple[Any, ...]:
    """Return what stands for modules of a package; type checkers are given their imports."""
    return tuple(Later(f"{package}.{name}") for name in names)
