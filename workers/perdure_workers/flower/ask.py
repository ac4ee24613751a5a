"""Somebody asks for something to be done, by a form or by the JSON API; and what is said when it was done."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from perdure.errors import InvalidArguments, PerdureError, did_you_mean

if TYPE_CHECKING:
    from perdure import Perdure

#: Where what is done here is said to come from, in audit trails.
SOURCE = "flower"
#: Rows that can be ticked at once.
MOST_SELECTED = 200
#: What a form carries that has been asked already.
CONFIRMED = "confirmed"
#: What forms say besides what is asked for.
_OF_FORMS = ("_xsrf", "action", CONFIRMED, "id", "ids", "of")


@dataclass(frozen=True, slots=True)
class Ask:
    """Somebody wants something done.

    Attributes:
        app: The application.
        kind: What it is done to: ``job``, ``jobs``, ``letter``, ``letters``, ``breaker`` or ``bulkhead``.
        action: What is done.
        of: To which one.
        form: What else was said: texts of a form, or values of a JSON body.
        by: Who asks.
    """

    app: Perdure
    kind: str
    action: str
    of: str
    form: Mapping[str, Any]
    by: str

    def text(self, name: str) -> str:
        """Return a text of the form, without spaces around it; NUL, which databases refuse, stands nowhere."""
        return str(self.form.get(name) or "").replace("\x00", "").strip()

    def flag(self, name: str) -> bool:
        """Return whether a box was ticked."""
        return str(self.form.get(name, "")).lower() in ("1", "true", "on", "yes")

    def filters(self, names: Collection[str], *others: str) -> dict[str, str]:
        """Return what rows are found by, without what is empty.

        Args:
            names: The filters that there are.
            others: What else may be said.

        Raises:
            InvalidArguments: Something else was said: a misspelt filter would mean all rows.
        """
        known = (*names, *others)
        for name in self.form:
            if name not in known and name not in _OF_FORMS:
                hint = did_you_mean(name, known)
                raise InvalidArguments(f"{name!r} means nothing here.{hint} Allowed: {', '.join(known)}")
        return {name: text for name in names if (text := self.text(name))}

    def unconfirmed(self) -> Ask:
        """Return this as it was before it was confirmed."""
        return replace(self, form={name: value for name, value in self.form.items() if name != CONFIRMED})

    @property
    def ids(self) -> list[str]:
        """The ids of the rows that were ticked.

        Raises:
            InvalidArguments: There are none, or too many.
        """
        ids = self.form.get("ids") or []
        if not isinstance(ids, list) or not 1 <= len(ids) <= MOST_SELECTED:
            raise InvalidArguments(f"tick 1 to {MOST_SELECTED} rows")
        return [str(each) for each in ids]

    def number(self, name: str, most: float) -> float | None:
        """Return a number of the form, from 0 to ``most``; None when it is empty.

        Raises:
            InvalidArguments: It is none, or outside of that.
        """
        text = self.text(name)
        return within(name, text, most) if text else None

    def value(self, name: str) -> Any:
        """Return a JSON value: as it is from the API, decoded from a form; None when it is empty."""
        given = self.form.get(name)
        if not isinstance(given, str):
            return given
        try:
            return json.loads(given) if given.strip() else None
        except ValueError as error:
            raise InvalidArguments(f"{name} is not JSON: {error}") from None
        except RecursionError:
            raise InvalidArguments(f"{name} is nested too deeply") from None


@dataclass(frozen=True, slots=True)
class Done:
    """What was done.

    Attributes:
        message: It in words.
        page: The page that shows it; None for the one it was asked on.
        of: Which one of that kind.
        job_id: The job that it made.
        good: Whether all of it went well.
        undo: The ids between which letters were discarded, for who takes it back.
    """

    message: str
    page: str | None = None
    of: tuple[str, ...] = ()
    job_id: str | None = None
    good: bool = True
    undo: tuple[str, str] | None = None


def to_each(ask: Ask, act: Callable[[str], bool], done: str) -> Done:
    """Do something to each row that was ticked; what cannot be done to one stops no other.

    Args:
        ask: Whose rows.
        act: Does it to an id, and returns whether it was to be done.
        done: What has been done, as a participle.
    """
    count, refused = 0, []
    for each in ask.ids:
        try:
            count += act(each)
        except PerdureError as error:
            refused.append(f"{each}: {error}")
    left = len(ask.ids) - count - len(refused)
    parts = [f"{count} {done}."]
    parts += [f"{left} had ended or were dealt with before."] if left else []
    parts += [f"{len(refused)} refused, such as {refused[0]}"] if refused else []
    return Done(" ".join(parts), good=not refused and not left)


def within(name: str, text: str, most: float) -> float:
    """Return the number that a text says, from 0 to ``most``.

    Raises:
        InvalidArguments: It says none, or one outside of that.
    """
    number = finite(name, text)
    if not 0 <= number <= most:
        raise InvalidArguments(f"{name}={text!r} must be 0 to {most:g}")
    return number


def finite(name: str, text: str) -> float:
    """Return the number that a text says.

    Raises:
        InvalidArguments: It says none, or one that is not finite.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidArguments(f"{name}={text!r} must be a number")
    return number
