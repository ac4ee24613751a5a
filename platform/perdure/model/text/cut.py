"""Cutting what is shown to people: the one way in which a text says that there is more of it."""

from __future__ import annotations

#: What stands for the rest.
MORE = "…"


def cut(text: str, length: int) -> str:
    """Return a text of at most ``length`` characters; the last one of a longer text says that it was cut.

    What is stored is cut by :func:`perdure.model.text.storable.storable`, which says how much is missing.
    """
    return text if len(text) <= length else text[: length - 1] + MORE
