"""What is wrong with a setting, in words: its name, what it was given, what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from perdure.errors import did_you_mean
from perdure.model.text.cut import cut

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

#: Values of these types are shown; a whole table would hide the message.
_SHOWN = (str, int, float, bool, type(None))
LONGEST_SHOWN = 80


def explained(problem: ErrorDetails, path: Sequence[str], beside: Iterable[str], *, hidden: bool = False) -> str:
    """Return what is wrong with one setting.

    Args:
        problem: What pydantic found.
        path: The setting's name, step by step.
        beside: The names that are allowed where it stands.
        hidden: Whether its value is not to be shown.
    """
    name = ".".join(path)
    if problem["type"] == "extra_forbidden":
        allowed = sorted(beside)
        return f"{name} is no setting.{did_you_mean(path[-1], allowed)} Allowed here: {', '.join(allowed)}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{name} is missing: a value is required"
    given = problem["input"]
    if hidden:
        return f"{name} = ***: {message}"
    return f"{name} = {cut(repr(given), LONGEST_SHOWN)}: {message}" if isinstance(given, _SHOWN) else f"{name}: {message}"
