"""Errors' names as people read and type them: perdure's own go without their modules, from which nobody imports them."""

from __future__ import annotations

from collections.abc import Iterator

from perdure.model.text.described import type_name

_OWN = "perdure."


def short_name(stored: str) -> str:
    """Return what people are shown of the name of an error's type."""
    return stored.rpartition(".")[2] if stored.startswith(_OWN) else stored


def stored_name(said: str) -> str:
    """Return the name under which the ledger has what people call an error's type by."""
    if "." in said:
        return said
    own = (name for kind in _below(Exception) if (name := type_name(kind)).startswith(_OWN))
    return next((name for name in own if short_name(name) == said), said)


def _below(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    for one in type.__subclasses__(kind):  # an application's class may do anything when it is asked for an attribute
        yield one
        yield from _below(one)
