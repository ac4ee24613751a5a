"""Looking for alerts: count, read what there is, measure, decide, write. What a supervisor does again and again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from perdure.manage.alerts import facts
from perdure.manage.alerts.facts import Facts, Sources
from perdure.manage.alerts.measures import MEASURES
from perdure.manage.alerts.rules import Rules
from perdure.model.alerts.decide import Change, Step, decide_all
from perdure.model.alerts.notice import Route, told
from perdure.model.alerts.rule import Measured
from perdure.model.alerts.slo import Slo
from perdure.model.ids import new_id

logger = logging.getLogger("perdure.alerts")

#: Stretches that one look counts at most: a minute each, so that a ledger that was left alone is caught up with in steps.
MOST_STRETCHES = 20


class Look(Struct, frozen=True):
    """What one look found.

    Attributes:
        changes: What became of alerts.
        notices: How many notices there are to send.
    """

    changes: Sequence[Change]
    notices: int


def look(sources: Sources, now: float, rules: Rules, slos: Sequence[Slo], routes: Sequence[Route]) -> Look:
    """Look once at all rules and return what changed.

    Args:
        sources: Where to read.
        now: The ledger's time, epoch seconds.
        rules: The rules.
        slos: The objectives.
        routes: Who is told what.

    Raises:
        LedgerUnavailable: The ledger cannot be used.
    """
    alerts = sources.ledger.alerts
    for _ in range(MOST_STRETCHES if slos else 0):
        if not alerts.count_on(slos):
            break
    known = rules.all()
    measured = measure_all(facts.read(sources, now, slos)) | rules.own_values()
    changes = decide_all(known, alerts.open(), measured, now, new_id)
    if not changes:
        return Look([], 0)
    changes = told(changes, alerts.silences())
    notices = alerts.apply(changes, routes)
    return Look([change for change in changes if change.step is not Step.KEEP], notices)


def measure_all(
    now: Facts, measures: Mapping[str, Callable[[Facts], Sequence[Measured] | None]] = MEASURES
) -> dict[str, Sequence[Measured] | None]:
    """Return what each measure found; None for one whose facts could not be read."""
    return {name: measure(now) for name, measure in measures.items()}
