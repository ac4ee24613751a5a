"""Scores as they were in the last hour, minute by minute: of what :mod:`perdure.manage.scores` gives a score now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from perdure.ledger.jobs.history import Ended
from perdure.manage.scores import Kind, Score, score_of


@dataclass(frozen=True, slots=True)
class ScoreView:
    """A score, and what it was.

    Attributes:
        kind: What it is of.
        name: Its name.
        calls: Attempts or calls by which it is judged now.
        failures: Those of them that did not succeed.
        score: The part that succeeded.
        by_minute: The score at the end of each of the last minutes, the current one last; None for one that has not been
            read yet. Empty for a service, whose breaker forgets.
    """

    kind: Kind
    name: str
    calls: int
    failures: int
    score: float
    by_minute: list[float | None]


def score_views(
    scores: Sequence[Score], hour: Sequence[Sequence[Ended] | None], minutes: int, minimum: int
) -> list[ScoreView]:
    """Return scores with what they were.

    Args:
        scores: The scores of now.
        hour: What ended in each of the last minutes.
        minutes: Of how many minutes before a moment its score is.
        minimum: Attempts below which a score is 1.
    """
    counted = [None if minute is None else _counted(minute) for minute in hour]
    return [
        ScoreView(
            one.kind,
            one.name,
            one.calls,
            one.failures,
            one.score,
            [] if one.kind == "service" else _by_minute(counted, (one.kind, one.name), minutes, minimum),
        )
        for one in scores
    ]


_Counted = tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]


def _counted(minute: Sequence[Ended]) -> _Counted:
    calls: Counter[tuple[str, str]] = Counter()
    failures: Counter[tuple[str, str]] = Counter()
    for one in minute:
        for place in (("task", one.task), ("bulkhead", one.bulkhead)):
            calls[place] += one.succeeded + one.failed
            failures[place] += one.failed
    return calls, failures


def _by_minute(counted: Sequence[_Counted | None], of: tuple[str, str], minutes: int, minimum: int) -> list[float | None]:
    found: list[float | None] = []
    for end in range(1, len(counted) + 1):
        window = [one for one in counted[max(0, end - minutes) : end] if one is not None]
        calls, failures = sum(one[0][of] for one in window), sum(one[1][of] for one in window)
        found.append(None if counted[end - 1] is None else score_of(calls, failures, minimum))
    return found
