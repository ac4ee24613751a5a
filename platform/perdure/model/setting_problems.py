"""What is wrong with a setting, in words: its name, what it was given, what is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from perdure.errors import did_you_mean
from perdure.model.text.cut import cut

#: Values of these types are shown; a whole table would hide the message.
_SHOWN = (str, int, float, bool, type(None))
LONGEST_SHOWN = 80
#: Stands for no value.
_NOTHING: Any = object()


class Problem(Struct, frozen=True):
    """What is wrong with one setting.

    Args:
        path: The setting's name, step by step.
        why: What is wrong, in words that follow its name.
        given: The value that is not allowed, if it is the value.
    """

    path: tuple[str, ...]
    why: str
    given: Any = _NOTHING

    @classmethod
    def unknown(cls, name: str, known: Iterable[str]) -> Problem:
        """Return the problem of a name that is none of those that are known."""
        allowed = sorted(known)
        return cls((name,), f"is no setting.{did_you_mean(name, allowed)} Allowed here: {', '.join(allowed)}")

    def within(self, *path: str) -> Problem:
        """Return the same problem as it is called from further up."""
        return replace(self, path=path + self.path)

    def said(self, *, hidden: bool = False) -> str:
        """Return it in words, ``hidden`` without the value."""
        name = ".".join(self.path)
        if self.given is _NOTHING:
            return f"{name} {self.why}"
        if hidden:
            return f"{name} = ***: {self.why}"
        given = f" = {cut(repr(self.given), LONGEST_SHOWN)}" if isinstance(self.given, _SHOWN) else ""
        return f"{name}{given}: {self.why}"


class WrongSettings(ValueError):
    """Settings are unknown, missing or not allowed.

    Args:
        problems: All that is wrong.
    """

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(problem.said() for problem in problems))
        self.problems = problems
