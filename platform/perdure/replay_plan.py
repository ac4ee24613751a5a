"""What a bulk replay would do."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perdure import codec
from perdure.errors import InvalidArguments, PerdureError
from perdure.ledger.letter_filters import LetterFilters
from perdure.ledger.records import DeadLetterRecord

if TYPE_CHECKING:
    from perdure.app import Perdure

#: Letters of which a plan checks the arguments; more would take longer than people wait.
CHECKED = 10_000
#: Misfits that a plan lists.
LISTED = 20
#: Replays a second without a rate, for the estimate: one short transaction each.
FASTEST = 200.0
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(slots=True)
class ReplayPlan:
    """What a bulk replay would do.

    Attributes:
        letters: How many letters match.
        checked: Of how many the arguments were checked, the newest ones.
        by_task: How many of the checked there are of each task.
        misfits: The first letters that cannot be replayed as they are, with the reason.
        misfit_count: How many of the checked cannot be replayed.
        breakers: The state of each breaker concerned.
        blocked: How many of the checked an open breaker keeps from being replayed.
        seconds: Estimated duration, in seconds.
    """

    letters: int
    checked: int = 0
    by_task: dict[str, int] = field(default_factory=dict)
    misfits: dict[str, str] = field(default_factory=dict)
    misfit_count: int = 0
    breakers: dict[str, str] = field(default_factory=dict)
    blocked: int = 0
    seconds: float = 0.0


def make_plan(app: Perdure, filters: LetterFilters, rate: float | None, limit: int | None) -> ReplayPlan:
    """Return what a bulk replay would do."""
    matching = app.ledger.count_dead_letters(filters)
    plan = ReplayPlan(matching if limit is None else min(matching, limit))
    plan.seconds = round(plan.letters / (rate or FASTEST), 1)
    after: str | None = None
    while plan.checked < min(plan.letters, CHECKED):
        wanted = min(500, plan.letters - plan.checked)
        page = app.ledger.dead_letters(limit=wanted, after=after, **filters.given())
        if not page:
            break
        for letter in page:
            _check(app, plan, letter)
        after = page[-1].id
    return plan


def parse_rate(rate: float | str | None) -> float | None:
    """Return a rate as a number of times a second; it may be given as ``50``, ``"50/s"``, ``"100/m"`` or ``"1000/h"``.

    Raises:
        InvalidArguments: It is no rate, or not positive.
    """
    if rate is None:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:/\s*([smh]))?\s*", str(rate))
    if match is None or not float(match[1]) > 0:
        raise InvalidArguments(f"rate={rate!r} must be a positive number a second, such as 50/s or 100/m")
    return float(match[1]) / _UNITS[match[2] or "s"]


def _check(app: Perdure, plan: ReplayPlan, letter: DeadLetterRecord) -> None:
    plan.checked += 1
    plan.by_task[letter.task] = plan.by_task.get(letter.task, 0) + 1
    breaker = app.dead_letters.breakers.of(letter)
    if breaker is not None:
        if breaker not in plan.breakers:
            plan.breakers[breaker] = app.dead_letters.breakers.state(breaker)
        plan.blocked += plan.breakers[breaker] in ("open", "forced_open")
    try:
        if letter.job_id is None:
            raise InvalidArguments("holds a broker message, not a job")
        app.task(letter.task).signature.encode(codec.untagged(letter.args), codec.untagged(letter.kwargs))
    except PerdureError as error:
        plan.misfit_count += 1
        if len(plan.misfits) < LISTED:
            plan.misfits[letter.id] = str(error)
