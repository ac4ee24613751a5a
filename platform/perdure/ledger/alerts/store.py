"""Reading alerts, and applying what was decided about them: each step once, whoever else looks at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, delete, insert, literal_column, select, update

from perdure.ledger.alerts import outbox
from perdure.ledger.conditions import insert_ignoring
from perdure.ledger.now import now
from perdure.ledger.schema import alert_notifications, alert_silences, alerts
from perdure.model.alerts.alert import Alert, Phase
from perdure.model.alerts.decide import Change, Step
from perdure.model.alerts.notice import Event, Route, Silence, event_of, notices
from perdure.model.alerts.rule import Severity
from perdure.model.ids import earliest_id, new_id
from perdure.model.text.storable import MAX_REASON, storable, storable_name

_C = alerts.c
#: As the partial index has it.
_IS_OPEN: ColumnElement[bool] = literal_column("phase <> 'resolved'")
_LATER = ("severity", "phase", "value", "message", "fired_at", "clear_since", "resolved_at", "seen_at", "told")


def open_alerts(connection: Connection) -> list[Alert]:
    """Return all alerts that are pending or firing."""
    return [_alert(row) for row in connection.execute(select(alerts).where(_IS_OPEN).order_by(_C.id))]


def listing(
    connection: Connection, *, phases: Sequence[str], rule: str | None, since: float | None, limit: int
) -> list[Alert]:
    """Return alerts, the newest first.

    Args:
        connection: Where to read.
        phases: Those in one of these phases.
        rule: Those of one rule.
        since: Of those that are over, only those that ended since then, epoch seconds.
        limit: The most to return.
    """
    query = select(alerts).where(_C.phase.in_(phases)).order_by(_C.id.desc()).limit(limit)
    if set(phases).isdisjoint({Phase.RESOLVED}):
        query = query.where(_IS_OPEN)
    if rule is not None:
        query = query.where(_C.rule == rule)
    if since is not None:
        query = query.where(_IS_OPEN | (_C.resolved_at >= since))
    return [_alert(row) for row in connection.execute(query)]


def apply(connection: Connection, changes: Sequence[Change], routes: Sequence[Route]) -> int:
    """Write changes and what notifiers are told of them, in the caller's transaction; return how many notices there are.

    A change that somebody else has made meanwhile is left out, with its notice. So each firing and each end is told of
    once, however many supervisors look.
    """
    news: list[tuple[Event, Alert]] = []
    for change in changes:
        told_before = _written(connection, change)
        event = None if told_before is None else event_of(change, told_before)
        if event is not None:
            news.append((event, change.alert))
    found = notices(news, routes)
    outbox.add(connection, found)
    return len(found)


def _written(connection: Connection, change: Change) -> bool | None:
    """Write a change; return whether notifiers knew of the alert before, None when it was not written."""
    alert = change.alert
    if change.step is Step.OPEN:
        fresh = insert_ignoring(alerts, connection.dialect.name).values(_row(alert)).returning(_C.id)
        return None if connection.execute(fresh).first() is None else False
    row = connection.execute(select(_C.phase, _C.told).where(_C.id == alert.id, _IS_OPEN).with_for_update()).one_or_none()
    if row is None or not _may(change, Phase(row.phase)):
        return None
    if change.step is Step.DROP:
        connection.execute(delete(alerts).where(_C.id == alert.id))
        return None
    later = {name: value for name, value in _row(alert).items() if name in _LATER}
    later["told"] = bool(row.told) or later["told"]
    connection.execute(update(alerts).where(_C.id == alert.id).values(later))
    return bool(row.told)


def _may(change: Change, phase: Phase) -> bool:
    wanted = {Step.FIRE: Phase.PENDING, Step.DROP: Phase.PENDING, Step.RESOLVE: Phase.FIRING, Step.KEEP: change.alert.phase}
    return wanted[change.step] is phase


def active_silences(connection: Connection) -> list[Silence]:
    """Return the silences that have not ended."""
    rows = connection.execute(select(alert_silences).where(alert_silences.c.ends_at > now()).order_by(alert_silences.c.id))
    return [_silence(row) for row in rows]


def silence(connection: Connection, rule: str, labels: dict[str, str], lasts: float, reason: str, by: str) -> Silence:
    """Write a silence of ``lasts`` seconds from now on and return it."""
    values = {
        "id": new_id(),
        "rule": rule,
        "labels": msgspec.json.encode(labels).decode(),
        "reason": storable(reason, MAX_REASON),
        "made_by": storable_name(by),
        "created_at": now(),
        "ends_at": now() + lasts,
    }
    return _silence(connection.execute(insert(alert_silences).values(values).returning(*alert_silences.c)).one())


def end_silence(connection: Connection, silence_id: str) -> bool:
    """End a silence now and return whether it had not ended."""
    c = alert_silences.c
    ended = update(alert_silences).where(c.id == silence_id, c.ends_at > now()).values(ends_at=now())
    return connection.execute(ended).rowcount > 0


def prune(connection: Connection, retention: float, page: int) -> int:
    """Delete a page of what was over ``retention`` seconds ago: alerts, notifications, silences. Return how many."""
    moment: float = connection.execute(select(now())).scalar_one()
    before = moment - retention
    made_by = earliest_id(before)
    n, s = alert_notifications.c, alert_silences.c
    old: dict[Table, tuple[ColumnElement[bool], ...]] = {
        alerts: (_C.id < made_by, _C.resolved_at < before),
        alert_notifications: (n.id < made_by,),
        alert_silences: (s.ends_at < before,),
    }
    deleted = 0
    for table, where in old.items():
        ids = list(connection.execute(select(table.c.id).where(*where).limit(page)).scalars())
        if ids:
            deleted += connection.execute(delete(table).where(table.c.id.in_(ids))).rowcount
    return deleted


def _row(alert: Alert) -> dict[str, Any]:
    same = ("id", "rule", "key", "value", "since", "fired_at", "clear_since", "resolved_at", "seen_at", "told")
    return {name: getattr(alert, name) for name in same} | {
        "labels": msgspec.json.encode(dict(alert.labels)).decode(),
        "severity": alert.severity.value,
        "phase": alert.phase.value,
        "message": storable(alert.message, MAX_REASON),
    }


def _alert(row: Any) -> Alert:
    same = ("id", "rule", "value", "message", "since", "fired_at", "clear_since", "resolved_at", "seen_at")
    return Alert(
        **{name: getattr(row, name) for name in same},
        labels=msgspec.json.decode(row.labels),
        severity=Severity(row.severity),
        phase=Phase(row.phase),
        told=bool(row.told),
    )


def _silence(row: Any) -> Silence:
    same = ("id", "rule", "reason", "created_at", "ends_at")
    return Silence(**{name: getattr(row, name) for name in same}, labels=msgspec.json.decode(row.labels), by=row.made_by)
