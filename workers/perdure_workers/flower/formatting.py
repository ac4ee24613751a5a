"""How values look on a page. Everything here returns plain text: templates escape it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from perdure.ledger.glance import MOST_COUNTED
from perdure.model.text.cut import cut
from perdure.model.text.error_names import short_name
from perdure.model.text.folding import folded
from perdure.model.text.safe import json_text

#: Bootstrap's badge for each state, outcome and condition.
_BADGES = {
    "good": ("succeeded", "healthy", "closed", "ok", "trusted"),
    "bad": ("dead", "failed", "crashed", "open", "timeout", "unhealthy", "lease_lost", "halted", "outvoted", "unfit"),
    "waiting": ("retrying", "suspect", "half_open", "degraded", "paused"),
    "active": ("running",),
}
_CLASS = {word: kind for kind, words in _BADGES.items() for word in words}


def badge(word: object) -> str:
    """Return the CSS class of a state's badge."""
    return f"perdure-badge perdure-{_CLASS.get(str(word), 'neutral')}"


def moment(at: datetime | float | None) -> str:
    """Return a moment in UTC to the second; a dash for none."""
    if at is None:
        return "—"
    value = at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def later(at: datetime, seconds: float) -> str:
    """Return the moment so many seconds after another one."""
    return moment(at + timedelta(seconds=seconds))


def machine(at: datetime | float | None) -> str:
    """Return a moment for a ``<time>`` element."""
    return moment(at).replace(" ", "T") + "Z" if at is not None else ""


def duration(seconds: float | None) -> str:
    """Return a length of time that people read at a glance; a dash for none."""
    if seconds is None:
        return "—"
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes:02d} m" if hours else f"{minutes} m {rest:02d} s"


def between(start: datetime | None, end: datetime | None) -> str:
    """Return how long something took; a dash when it has not begun or not ended."""
    return duration((end - start).total_seconds()) if start and end else "—"


def count(number: float | None) -> str:
    """Return a number with its thousands apart; a dash for none."""
    return "—" if number is None else f"{number:,.0f}"


def at_least(number: int) -> str:
    """Return a number that was counted up to a bound, with a plus when there may be more."""
    return count(number) + ("+" if number >= MOST_COUNTED else "")


def error_name(stored: str | None) -> str:
    """Return the name of an error's type as people read it."""
    return short_name(stored or "")


def named_error(kind: str | None, text: str | None) -> str:
    """Return an error with the name of its type before it, as far as there are both."""
    return ": ".join(part for part in (error_name(kind), text) if part)


def trace(traceback: str) -> str:
    """Return a traceback as people read it first: without perdure's own frames."""
    return folded(traceback)


def pretty(value: Any) -> str:
    """Return a value as indented JSON."""
    return json_text(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def short(job_id: str) -> str:
    """Return the end of an id, which tells ids of the same second apart."""
    return job_id[-12:]


def call(args: list[Any], kwargs: dict[str, Any]) -> str:
    """Return the arguments of a call on one line."""
    parts = [json.dumps(value, ensure_ascii=False) for value in args]
    return ", ".join(parts + [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in kwargs.items()])


def link(question: Mapping[str, str], **changes: str | None) -> str:
    """Return the query of the same list with something changed; None leaves it out."""
    return "?" + urlencode({name: value for name, value in {**question, **changes}.items() if value and name != "of"})


def brief(value: Any, length: int = 80) -> str:
    """Return a value as one line of text."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return cut(text, length)
