"""Scores as they were in the last hour, minute by minute: of what :mod:`perdure.manage.scores` gives a score now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from perdure.ledger.jobs.history import Ended
from perdure.manage.scores import Kind, Score, score_of
from perdure.model.alerts.slo import Count


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
            read yet. That of a service is by what its calls in jobs came to; empty where there were none.
    """

    kind: Kind
    name: str
    calls: int
    failures: int
    score: float
    by_minute: list[float | None]


#: Calls and failures of a minute, each by kind and name.
_Counted = tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]


def score_views(
    scores: Sequence[Score],
    hour: Sequence[Sequence[Ended] | None],
    services: Mapping[str, Sequence[Count]],
    minutes: int,
    minimum: int,
) -> list[ScoreView]:
    """Return scores with what they were.

    Args:
        scores: The scores of now.
        hour: What ended in each of the last minutes.
        services: What the calls of each service came to in the same minutes.
        minutes: Of how many minutes before a moment its score is.
        minimum: Attempts below which a score is 1.
    """
    counted = [None if minute is None else _counted(minute) for minute in hour]
    views = []
    for one in scores:
        place = (one.kind, one.name)
        past = [_of_service(each, place) for each in services.get(one.name, ())] if one.kind == "service" else counted
        by_minute = _by_minute(past, place, minutes, minimum)
        views.append(ScoreView(one.kind, one.name, one.calls, one.failures, one.score, by_minute))
    return views


def _of_service(count: Count, place: tuple[str, str]) -> _Counted:
    return Counter({place: count.total}), Counter({place: count.bad})


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
