"""Alerts as pages show them: those that supervisors keep in the ledger, and no second set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from perdure.ledger.alerts.turn import LastLook
from perdure.model.alerts.alert import Alert, Phase
from perdure.model.alerts.rule import Severity
from perdure.model.clock import to_datetime

if TYPE_CHECKING:
    from perdure import Perdure

#: Alerts that are over that are shown.
HISTORY = 50
#: Looks that may be missed until somebody should know that nobody looks, and the seconds that they take at least.
MISSED, PATIENCE = 3.0, 30.0
#: Where more is to be seen about alerts whose names begin so: the name of a route.
_PAGES = {
    "breaker": "perdure_breakers",
    "worker": "perdure_workers",
    "schedule": "perdure_schedules",
    "dead_letter": "perdure_letters",
}


@dataclass(frozen=True, slots=True)
class AlertView:
    """One thing that somebody should look at.

    Attributes:
        name: The alert's name.
        level: ``bad`` for what fires, ``waiting`` for what somebody wanted or may pass by itself.
        text: What is the matter.
        todo: What to do about it.
        since: Since when.
        page: The page that shows more: the name of a route.
        state: ``pending``, ``firing`` or ``resolved``.
        severity: How bad it is.
        over: When it was over.
    """

    name: str
    level: str
    text: str
    todo: str
    since: datetime | None
    page: str
    state: str
    severity: str
    over: datetime | None = None


def open_alerts(app: Perdure) -> list[AlertView]:
    """Return what somebody should look at now, the worst and newest first; also when nobody looks for it."""
    todo = {rule.name: rule.todo for rule in app.alerts.rules()}
    found = sorted(app.alerts.open(), key=lambda one: (one.phase is Phase.PENDING, -one.severity.rank, -one.since))
    return [*nobody_looks(app.alerts.last_look(), app.settings.alerts.every), *(view(one, todo) for one in found)]


def alert_page(app: Perdure) -> dict[str, Any]:
    """Return what fires, what did, who was told, silences and objectives."""
    todo = {rule.name: rule.todo for rule in app.alerts.rules()}
    return {
        "alerts": open_alerts(app),
        "names": sorted(todo),
        "history": [view(one, todo) for one in app.alerts.list(state="resolved", limit=HISTORY)],
        "silences": [
            {"id": one.id, "rule": one.rule, "until": to_datetime(one.ends_at), "by": one.by, "reason": one.reason}
            for one in app.alerts.silences()
        ],
        "slos": app.alerts.slo_states(),
    }


def view(alert: Alert, todo: Mapping[str, str]) -> AlertView:
    """Return an alert as pages show it; ``todo`` says what to do, by rule."""
    fires = alert.phase is Phase.FIRING and alert.severity is not Severity.INFO
    page = next((page for start, page in _PAGES.items() if alert.rule.startswith(start)), "perdure_alerts")
    return AlertView(
        alert.rule,
        "bad" if fires else "waiting",
        alert.message,
        todo.get(alert.rule, ""),
        to_datetime(alert.fired_at or alert.since),
        page,
        alert.phase.value,
        alert.severity.value,
        to_datetime(alert.resolved_at),
    )


def nobody_looks(last: LastLook | None, every: float) -> Sequence[AlertView]:
    """Return that no supervisor looks for alerts, when that is so; ``every`` is how often in seconds they do."""
    if last is not None and last.age <= max(PATIENCE, MISSED * every):
        return ()
    ago = "ever" if last is None else f"for {last.age:.0f} s"
    since = None if last is None else to_datetime(datetime.now(UTC).timestamp() - last.age)
    todo = "Start a worker, or: perdure supervisor"
    text = f"no supervisor has looked for alerts {ago}: what is below may be old"
    return (AlertView("nobody_looks", "waiting", text, todo, since, "perdure_alerts", "firing", "warning"),)
