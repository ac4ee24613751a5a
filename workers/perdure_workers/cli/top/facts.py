"""What ``perdure top`` shows: the facts of Flower's pages, read by about a dozen statements, each by an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from perdure.ledger import glance
from perdure.ledger.glance import LetterCounts
from perdure.manage.platform_checks import reached
from perdure.model.records import DeadLetterRecord, WorkerRecord
from perdure.resilience.breaker.events import BreakerSnapshot
from perdure_workers.facts.bulkhead_view import BulkheadView, bulkhead_view
from perdure_workers.facts.task_facts import TaskView, task_views

if TYPE_CHECKING:
    from perdure import Perdure
    from perdure_workers.facts.history import History

#: Dead letters that are read: no terminal shows more.
DEATHS = 50


@dataclass(frozen=True, slots=True)
class Death:
    """A dead letter at a glance."""

    id: str
    job_id: str | None
    task: str
    bulkhead: str | None
    reason: str
    error_type: str | None
    error: str | None
    at: datetime | None

    @classmethod
    def of(cls, letter: DeadLetterRecord) -> Death:
        """Return what is shown of a letter."""
        who = (letter.id, letter.job_id, letter.task, letter.bulkhead)
        return cls(*who, letter.reason, letter.error_type, letter.error, letter.created_at)


@dataclass(frozen=True, slots=True)
class Facts:
    """The platform at one moment.

    Attributes:
        at: When.
        rates: Attempts that ended in the last minute, per second, by bulkhead.
        letters: How many dead letters are open, and new.
        deaths: The newest of them.
        problems: What could not be asked; what is shown of it is this process's own, or missing.
    """

    at: datetime
    bulkheads: Sequence[BulkheadView]
    rates: Mapping[str, float]
    tasks: Sequence[TaskView]
    breakers: Sequence[BreakerSnapshot]
    workers: Sequence[WorkerRecord]
    letters: LetterCounts
    deaths: Sequence[Death]
    problems: Sequence[str] = field(default=())


def read_facts(app: Perdure, history: History) -> Facts:
    """Return what is to be shown now.

    Args:
        app: The application.
        history: What ended in the last hour.

    Raises:
        LedgerUnavailable: The ledger is away.
    """
    now, hour, workers = datetime.now(UTC), history.last_hour(), app.workers.list()
    paused = app.ledger.direct(glance.paused_since)
    bulkheads = [bulkhead_view(one, paused.get(one.name), workers, hour) for one in app.bulkheads.list()]
    return Facts(
        at=now,
        bulkheads=bulkheads,
        rates={view.name: rate(view.ended, now.second) for view in bulkheads},
        tasks=task_views(app, hour),
        breakers=app.breakers.snapshots(),
        workers=workers,
        letters=app.ledger.direct(glance.letter_counts),
        deaths=[Death.of(letter) for letter in app.dead_letters.list(limit=DEATHS)],
        problems=_problems(app),
    )


def as_json(facts: Facts) -> dict[str, Any]:
    """Return facts for a script: with sums in place of what is plotted by minutes."""
    found = asdict(facts)
    for one in found["bulkheads"]:
        one |= {"ended": _sum(one["ended"]), "failed": _sum(one["failed"]), "rate": found["rates"][one["name"]]}
        del one["p95_by_minute"]
    for one in found["tasks"]:
        one["ended"] = _sum(one["ended"])
    del found["rates"]
    return found


def _sum(minutes: Sequence[int | None]) -> int:
    return sum(count or 0 for count in minutes)


def rate(ended: Sequence[int | None], second: float) -> float:
    """Return how many ended per second in the last 60 s.

    Args:
        ended: How many in each minute, the current one last; of the one before it the part is taken that is not over 60 s
            ago, as if they had ended evenly.
        second: The current minute's second.
    """
    before, current = ([0, 0, *(count or 0 for count in ended)])[-2:]
    return (current + before * (60 - second) / 60) / 60


def _problems(app: Perdure) -> list[str]:
    try:
        reached(app.settings, lambda: app.celery)
    except Exception as error:  # noqa: BLE001 - any transport's own errors
        return [f"the broker is away ({type(error).__name__}): jobs start within a second all the same, breakers are local"]
    return []
