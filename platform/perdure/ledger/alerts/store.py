"""Reading alerts, and applying what was decided about them: each step once, whoever else looks at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.ledger import direct
from perdure.ledger.alerts import outbox
from perdure.ledger.clock import clock
from perdure.ledger.dialects import DIALECTS, FOR_UPDATE, NOW, one_of, texts
from perdure.model.alerts.alert import Alert, Phase
from perdure.model.alerts.decide import Change, Step
from perdure.model.alerts.notice import Event, Route, Silence, event_of, notices
from perdure.model.alerts.rule import Severity
from perdure.model.ids import earliest_id, new_id
from perdure.model.text.storable import MAX_REASON, storable, storable_name

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: As the partial index has it.
_IS_OPEN = f"phase <> '{Phase.RESOLVED}'"
#: What an alert is for good, and what becomes of it.
_FIRST = ("id", "rule", "key", "labels", "since")
_LATER = ("severity", "phase", "value", "message", "fired_at", "clear_since", "resolved_at", "seen_at", "told")
_SELECT = (
    "SELECT id, rule, labels, severity, phase, value, message, since, fired_at, clear_since, resolved_at, seen_at, told "
    "FROM perdure_alerts WHERE"
)
_OPEN = f"{_SELECT} {_IS_OPEN} ORDER BY id"
_INSERT = f"""
    INSERT INTO perdure_alerts ({", ".join((*_FIRST, *_LATER))})
    VALUES ({", ".join(f":{name}" for name in (*_FIRST, *_LATER))})
    ON CONFLICT DO NOTHING RETURNING id
"""
_LOCK = {
    dialect: f"SELECT phase, told FROM perdure_alerts WHERE id = :id AND {_IS_OPEN} {FOR_UPDATE[dialect]}"
    for dialect in DIALECTS
}
_UPDATE = f"UPDATE perdure_alerts SET {', '.join(f'{name} = :{name}' for name in _LATER)} WHERE id = :id"
_DELETE = "DELETE FROM perdure_alerts WHERE id = :id"

_OF_SILENCE = "id, rule, labels, reason, made_by, created_at, ends_at"
_SILENCES = {
    dialect: f"SELECT {_OF_SILENCE} FROM perdure_alert_silences WHERE ends_at > {NOW[dialect]} ORDER BY id"
    for dialect in DIALECTS
}
_SILENCE = {
    dialect: f"""
    INSERT INTO perdure_alert_silences ({_OF_SILENCE})
    VALUES (:id, :rule, :labels, :reason, :made_by, {NOW[dialect]}, {NOW[dialect]} + :lasts)
    RETURNING {_OF_SILENCE}
    """
    for dialect in DIALECTS
}
_END_SILENCE = {
    dialect: f"UPDATE perdure_alert_silences SET ends_at = {NOW[dialect]} "
    f"WHERE id = :id AND ends_at > {NOW[dialect]} RETURNING id"
    for dialect in DIALECTS
}

#: What is over, by its table.
_OLD = {
    "perdure_alerts": "id < :made_by AND resolved_at < :before",
    "perdure_alert_notifications": "id < :made_by",
    "perdure_alert_silences": "ends_at < :before",
}


def _prune(dialect: str, table: str, is_old: str) -> str:
    page = f"SELECT id FROM {table} WHERE {is_old} LIMIT :page"
    those = f"= ANY(ARRAY({page}))" if dialect == "postgresql" else f"IN ({page})"
    return f"DELETE FROM {table} WHERE id {those} RETURNING id"


_PRUNE = {dialect: [_prune(dialect, *old) for old in _OLD.items()] for dialect in DIALECTS}


def open_alerts(connection: Where) -> list[Alert]:
    """Return all alerts that are pending or firing."""
    return [_alert(row) for row in direct.rows(connection, _OPEN, {})]


def listing(connection: Where, *, phases: Sequence[str], rule: str | None, since: float | None, limit: int) -> list[Alert]:
    """Return alerts, the newest first.

    Args:
        connection: Where to read.
        phases: Those in one of these phases.
        rule: Those of one rule.
        since: Of those that are over, only those that ended since then, epoch seconds.
        limit: The most to return.
    """
    dialect = connection.dialect.name
    values: dict[str, Any] = {"phases": texts(dialect, phases), "most": limit}
    where = [one_of(dialect, "phase", "phases")]
    if set(phases).isdisjoint({Phase.RESOLVED}):
        where.append(_IS_OPEN)
    if rule is not None:
        where.append("rule = :rule")
        values["rule"] = rule
    if since is not None:
        where.append(f"({_IS_OPEN} OR resolved_at >= :since)")
        values["since"] = since
    rows = direct.rows(connection, f"{_SELECT} {' AND '.join(where)} ORDER BY id DESC LIMIT :most", values)
    return [_alert(row) for row in rows]


def apply(connection: Where, changes: Sequence[Change], routes: Sequence[Route]) -> int:
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


def _written(connection: Where, change: Change) -> bool | None:
    """Write a change; return whether notifiers knew of the alert before, None when it was not written."""
    alert = change.alert
    if change.step is Step.OPEN:
        return False if direct.rows(connection, _INSERT, _first(alert) | _later(alert)) else None
    this = {"id": alert.id}
    row = next(iter(direct.rows(connection, _LOCK[connection.dialect.name], this)), None)
    if row is None or not _may(change, Phase(row[0])):
        return None
    if change.step is Step.DROP:
        direct.run(connection, _DELETE, this)
        return None
    told = bool(row[1])
    direct.run(connection, _UPDATE, this | _later(alert) | {"told": told or alert.told})
    return told


def _may(change: Change, phase: Phase) -> bool:
    wanted = {Step.FIRE: Phase.PENDING, Step.DROP: Phase.PENDING, Step.RESOLVE: Phase.FIRING, Step.KEEP: change.alert.phase}
    return wanted[change.step] is phase


def active_silences(connection: Where) -> list[Silence]:
    """Return the silences that have not ended."""
    return [_silence(row) for row in direct.rows(connection, _SILENCES[connection.dialect.name], {})]


def silence(connection: Where, rule: str, labels: dict[str, str], lasts: float, reason: str, by: str) -> Silence:
    """Write a silence of ``lasts`` seconds from now on and return it."""
    values = {
        "id": new_id(),
        "rule": rule,
        "labels": msgspec.json.encode(labels).decode(),
        "reason": storable(reason, MAX_REASON),
        "made_by": storable_name(by),
        "lasts": lasts,
    }
    [row] = direct.rows(connection, _SILENCE[connection.dialect.name], values)
    return _silence(row)


def end_silence(connection: Where, silence_id: str) -> bool:
    """End a silence now and return whether it had not ended."""
    return bool(direct.rows(connection, _END_SILENCE[connection.dialect.name], {"id": silence_id}))


def prune(connection: Where, retention: float, page: int) -> int:
    """Delete a page of what was over ``retention`` seconds ago: alerts, notifications, silences. Return how many."""
    before = clock(connection) - retention
    values = {"before": before, "made_by": earliest_id(before), "page": page}
    return sum(len(direct.rows(connection, statement, values)) for statement in _PRUNE[connection.dialect.name])


def _first(alert: Alert) -> dict[str, Any]:
    labels = msgspec.json.encode(dict(alert.labels)).decode()
    return {"id": alert.id, "rule": alert.rule, "key": alert.key, "labels": labels, "since": alert.since}


def _later(alert: Alert) -> dict[str, Any]:
    same = {name: getattr(alert, name) for name in ("value", "fired_at", "clear_since", "resolved_at", "seen_at", "told")}
    message = storable(alert.message, MAX_REASON)
    return same | {"severity": alert.severity.value, "phase": alert.phase.value, "message": message}


def _alert(row: Sequence[Any]) -> Alert:
    found_id, rule, labels, severity, phase, *rest, told = row
    values: list[Any] = [found_id, rule, msgspec.json.decode(labels), Severity(severity), Phase(phase), *rest, bool(told)]
    return Alert(*values)


def _silence(row: Sequence[Any]) -> Silence:
    found_id, rule, labels, reason, by, created_at, ends_at = row
    return Silence(found_id, rule, msgspec.json.decode(labels), reason, by, created_at, ends_at)
