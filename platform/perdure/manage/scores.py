"""``app.scores``: how well each task, bulkhead and service has done lately, as a number from 0 to 1."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from perdure.ledger.jobs.history import Ended

if TYPE_CHECKING:
    from perdure.ledger import Ledger
    from perdure.resilience.breaker.breakers import Breakers
    from perdure.resilience.breaker.events import BreakerSnapshot
    from perdure.settings.settings import Settings

Kind = Literal["task", "bulkhead", "service"]


class Score(Struct, frozen=True):
    """How well something has done lately.

    Attributes:
        kind: What it is.
        name: Its name; a service's is that of its circuit breaker.
        calls: Attempts that succeeded, failed, crashed or took too long, or calls that a breaker let through.
        failures: Those of them that did not succeed.
        score: The part that succeeded; 1 while there are fewer calls than say anything.
    """

    kind: Kind
    name: str
    calls: int
    failures: int
    score: float


class Scores:
    """The scores of an application; call it for those of now.

    Args:
        settings: The application's settings: ``score_window`` and ``score_minimum_calls``.
        ledger: Its ledger.
        breakers: Returns its circuit breakers.
    """

    def __init__(self, settings: Settings, ledger: Ledger, breakers: Callable[[], Breakers]) -> None:
        self._settings = settings
        self._ledger = ledger
        self._breakers = breakers

    def __call__(self) -> list[Score]:
        """Return the scores of tasks, bulkheads and services that had anything to do, the worst first.

        Tasks and bulkheads are judged by the last ``score_window`` seconds, services by their breakers' windows; while
        Redis is away services are left out.
        """
        from redis.exceptions import RedisError  # here: redis-py is loaded by those who use it

        since = self._ledger.clock() - self._settings.score_window
        ended = self._ledger.jobs.ended_between(since, math.inf)  # SQLite's clock stands still for a millisecond
        try:
            return self.of(ended, self._breakers().snapshots())
        except RedisError:
            return self.of(ended, ())

    def of(self, ended: Iterable[Ended], breakers: Iterable[BreakerSnapshot]) -> list[Score]:
        """Return the scores by what is known already, the worst first.

        Args:
            ended: The attempts that ended.
            breakers: The circuit breakers.
        """
        services = (self._score("service", one.name, one.window_calls, one.window_failures) for one in breakers)
        return sorted([*self._of_ended(ended), *services], key=lambda one: (one.score, one.kind, one.name))

    def _of_ended(self, ended: Iterable[Ended]) -> Iterator[Score]:
        calls: Counter[tuple[Kind, str]] = Counter()
        failures: Counter[tuple[Kind, str]] = Counter()
        for one in ended:
            places: tuple[tuple[Kind, str], ...] = (("task", one.task), ("bulkhead", one.bulkhead))
            for place in places:
                calls[place] += one.succeeded + one.failed
                failures[place] += one.failed
        return (self._score(kind, name, count, failures[kind, name]) for (kind, name), count in calls.items())

    def _score(self, kind: Kind, name: str, calls: int, failures: int) -> Score:
        return Score(kind, name, calls, failures, score_of(calls, failures, self._settings.score_minimum_calls))


def score_of(calls: int, failures: int, minimum: int) -> float:
    """Return the part of calls that succeeded, 0 to 1; 1 when there were fewer than ``minimum``, or none at all."""
    return 1.0 if calls < max(1, minimum) else 1.0 - failures / calls
