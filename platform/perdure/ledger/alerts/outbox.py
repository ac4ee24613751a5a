"""What is to be sent to notifiers: claimed by one sender at a time under a fence, and tried again until it is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.ledger import direct
from perdure.ledger.batch import encoded, rows_of
from perdure.ledger.dialects import DIALECTS, NOW, one_of, texts
from perdure.model.alerts.alert import Alert
from perdure.model.alerts.notice import Event, Notice
from perdure.model.ids import new_id
from perdure.model.text.storable import MAX_REASON, storable, storable_name

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: Of :class:`Notification`, in its order.
_COLUMNS = "id, notifier, rule, event, alerts, created_at, due_at, fence, tries, sender, sent_at, error"
_NEW = {"id": "text", "notifier": "text", "rule": "text", "event": "text", "alerts": "text"}
_ADD = {
    dialect: f"""
    INSERT INTO perdure_alert_notifications ({", ".join(_NEW)}, created_at, due_at, fence, tries)
    SELECT {", ".join(f"s.{name}" for name in _NEW)}, {NOW[dialect]}, {NOW[dialect]}, 0, 0 FROM {rows_of(dialect, _NEW)}
    """
    for dialect in DIALECTS
}

_IS_WAITING = "due_at IS NOT NULL"
#: A notification that somebody who knows one of the notifiers, the parameter ``mine``, is to send now.
IS_DUE = {
    dialect: f"{_IS_WAITING} AND due_at <= {NOW[dialect]} AND {one_of(dialect, 'notifier', 'mine')}" for dialect in DIALECTS
}
_DUE = {
    dialect: f"SELECT id FROM perdure_alert_notifications WHERE {IS_DUE[dialect]} ORDER BY due_at LIMIT :page"
    for dialect in DIALECTS
}


def _claim(dialect: str, is_free: str) -> str:
    return f"""
    UPDATE perdure_alert_notifications
    SET due_at = {NOW[dialect]} + :lease, fence = fence + 1, tries = tries + 1, sender = :sender
    WHERE id = :id AND {_IS_WAITING} AND {is_free}
    RETURNING {_COLUMNS}
    """


_CLAIM_DUE = {dialect: _claim(dialect, f"due_at <= {NOW[dialect]}") for dialect in DIALECTS}
_CLAIM_HANDED_OVER = {dialect: _claim(dialect, "fence = :fence") for dialect in DIALECTS}


def _settle(changes: str) -> str:
    where = f"id = :id AND fence = :fence AND {_IS_WAITING}"
    return f"UPDATE perdure_alert_notifications SET {changes} WHERE {where} RETURNING id"


_SENT = {dialect: _settle(f"sent_at = {NOW[dialect]}, due_at = NULL, error = NULL") for dialect in DIALECTS}
#: Without a delay, which is null then, it is given up.
_FAILED = {
    dialect: _settle(f"due_at = {NOW[dialect]} + CAST(:delay AS double precision), error = :error") for dialect in DIALECTS
}
_POSTPONE = {dialect: _settle(f"due_at = {NOW[dialect]} + :delay, tries = tries - 1") for dialect in DIALECTS}
_LISTING = f"""
    SELECT {_COLUMNS} FROM perdure_alert_notifications
    WHERE CAST(:rule AS text) IS NULL OR rule = :rule ORDER BY id DESC LIMIT :most
"""


class Notification(msgspec.Struct, frozen=True):
    """A notice on its way to one notifier. Times are epoch seconds.

    Attributes:
        id: Its id, the same at each try: receivers recognise by it what they have already.
        notifier: The notifier.
        rule: The rule of its alerts.
        event: Whether they fire or are over.
        alerts: The alerts as they were then.
        created_at: When they did.
        due_at: When it is tried next; None once it is sent or given up.
        fence: Grows with each claim; a sender whose fence is stale settles nothing.
        tries: How often it was tried.
        sender: Who claimed it last.
        sent_at: When it was sent; None while it is not.
        error: Why the last try failed.
    """

    id: str
    notifier: str
    rule: str
    event: Event
    alerts: tuple[Alert, ...]
    created_at: float
    due_at: float | None
    fence: int
    tries: int
    sender: str | None
    sent_at: float | None
    error: str | None


def add(connection: Where, notices: Sequence[Notice]) -> None:
    """Write what is to be sent, in the transaction of what it is about."""
    rows = [
        {
            "id": new_id(),
            "notifier": notice.notifier,
            "rule": notice.rule,
            "event": notice.event.value,
            "alerts": msgspec.json.encode(notice.alerts).decode(),
        }
        for notice in notices
    ]
    if rows:
        direct.run(connection, _ADD[connection.dialect.name], encoded(rows))


def due(connection: Where, page: int, mine: Sequence[str]) -> list[str]:
    """Return ids of notifications that somebody is to send now, the oldest first.

    Args:
        connection: Where to read.
        page: The most to return.
        mine: The notifiers that this process knows.
    """
    dialect = connection.dialect.name
    return [row[0] for row in direct.rows(connection, _DUE[dialect], {"page": page, "mine": texts(dialect, mine)})]


def claim(
    connection: Where, notification_id: str, sender: str, lease: float, fence: int | None = None
) -> Notification | None:
    """Claim a notification and return it; None when it was sent, given up, or somebody else is at it.

    Args:
        connection: Where to write.
        notification_id: Which one.
        sender: Who sends it.
        lease: Seconds for which nobody else may.
        fence: For the job to which it was handed, the fence under which it was: nobody may have taken it since.
    """
    values = {"id": notification_id, "sender": storable_name(sender), "lease": lease}
    if fence is None:
        rows = direct.rows(connection, _CLAIM_DUE[connection.dialect.name], values)
    else:
        rows = direct.rows(connection, _CLAIM_HANDED_OVER[connection.dialect.name], {**values, "fence": fence})
    return _notification(rows[0]) if rows else None


def sent(connection: Where, notification: Notification) -> bool:
    """Note that a notification was sent; return False when the claim was lost meanwhile."""
    return _is_settled(connection, notification, _SENT, {})


def failed(connection: Where, notification: Notification, error: str, delay: float | None) -> bool:
    """Note that a try failed, to be made again in ``delay`` seconds; None gives it up."""
    return _is_settled(connection, notification, _FAILED, {"delay": delay, "error": storable(error, MAX_REASON)})


def postpone(connection: Where, notification: Notification, delay: float) -> bool:
    """Give a claimed notification to a job that sends it; others take it when ``delay`` seconds are over."""
    return _is_settled(connection, notification, _POSTPONE, {"delay": delay})


def listing(connection: Where, *, rule: str | None = None, limit: int = 50) -> list[Notification]:
    """Return notifications, the newest first; of one rule when it is given."""
    return [_notification(row) for row in direct.rows(connection, _LISTING, {"rule": rule, "most": limit})]


def _is_settled(
    connection: Where, notification: Notification, statements: Mapping[str, str], values: dict[str, Any]
) -> bool:
    mine = {"id": notification.id, "fence": notification.fence}
    return bool(direct.rows(connection, statements[connection.dialect.name], {**mine, **values}))


def _notification(row: Sequence[Any]) -> Notification:
    found_id, notifier, rule, event, alerts, *rest = row
    about = msgspec.json.decode(alerts, type=tuple[Alert, ...])
    return Notification(found_id, notifier, rule, Event(event), about, *rest)
