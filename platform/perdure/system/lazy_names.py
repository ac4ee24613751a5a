"""Names of a package that are loaded when they are asked for: importing it costs nothing of what is not used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

from perdure.system.loading import uncollected


def lazy_names(package: str, where: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return a package's ``__getattr__`` and ``__dir__`` (PEP 562).

    Args:
        package: Its ``__name__``.
        where: The module of each name.
    """
    names = vars(sys.modules[package])

    def get(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        with uncollected():
            found = names[name] = getattr(importlib.import_module(where[name]), name)
        return found

    return get, lambda: sorted({*names, *where})
