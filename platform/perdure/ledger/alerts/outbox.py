"""What is to be sent to notifiers: claimed by one sender at a time under a fence, and tried again until it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, bindparam, insert, literal_column, select, update

from perdure.ledger.now import now
from perdure.ledger.schema import alert_notifications
from perdure.model.alerts.alert import Alert
from perdure.model.alerts.notice import Event, Notice
from perdure.model.ids import new_id
from perdure.model.text.storable import MAX_REASON, storable, storable_name

_C = alert_notifications.c
_IS_WAITING: ColumnElement[bool] = literal_column("due_at IS NOT NULL")
#: A notification that somebody who knows one of the notifiers is to send now.
IS_DUE = (_IS_WAITING, _C.due_at <= now(), _C.notifier.in_(bindparam("mine", expanding=True)))


@dataclass(frozen=True, slots=True)
class Notification:
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


def add(connection: Connection, notices: Sequence[Notice]) -> None:
    """Write what is to be sent, in the transaction of what it is about."""
    rows = [
        {
            "id": new_id(),
            "notifier": notice.notifier,
            "rule": notice.rule,
            "event": notice.event.value,
            "alerts": msgspec.json.encode(notice.alerts).decode(),
            "fence": 0,
            "tries": 0,
        }
        for notice in notices
    ]
    if rows:
        connection.execute(insert(alert_notifications).values(created_at=now(), due_at=now()), rows)


def due(connection: Connection, page: int, mine: Sequence[str]) -> list[str]:
    """Return ids of notifications that somebody is to send now, the oldest first.

    Args:
        connection: Where to read.
        page: The most to return.
        mine: The notifiers that this process knows.
    """
    query = select(_C.id).where(*IS_DUE).order_by(_C.due_at).limit(page)
    return list(connection.execute(query, {"mine": mine}).scalars())


def claim(
    connection: Connection, notification_id: str, sender: str, lease: float, fence: int | None = None
) -> Notification | None:
    """Claim a notification and return it; None when it was sent, given up, or somebody else is at it.

    Args:
        connection: Where to write.
        notification_id: Which one.
        sender: Who sends it.
        lease: Seconds for which nobody else may.
        fence: For the job to which it was handed, the fence under which it was: nobody may have taken it since.
    """
    is_free = _C.due_at <= now() if fence is None else _C.fence == fence
    claimed = (
        update(alert_notifications)
        .where(_C.id == notification_id, _IS_WAITING, is_free)
        .values(due_at=now() + lease, fence=_C.fence + 1, tries=_C.tries + 1, sender=storable_name(sender))
        .returning(*_C)
    )
    row = connection.execute(claimed).one_or_none()
    return None if row is None else _notification(row)


def sent(connection: Connection, notification: Notification) -> bool:
    """Note that a notification was sent; return False when the claim was lost meanwhile."""
    return _settle(connection, notification, {"sent_at": now(), "due_at": None, "error": None})


def failed(connection: Connection, notification: Notification, error: str, delay: float | None) -> bool:
    """Note that a try failed, to be made again in ``delay`` seconds; None gives it up."""
    due_at = None if delay is None else now() + delay
    return _settle(connection, notification, {"due_at": due_at, "error": storable(error, MAX_REASON)})


def postpone(connection: Connection, notification: Notification, delay: float) -> bool:
    """Give a claimed notification to a job that sends it; others take it when ``delay`` seconds are over."""
    return _settle(connection, notification, {"due_at": now() + delay, "tries": _C.tries - 1})


def listing(connection: Connection, *, rule: str | None = None, limit: int = 50) -> list[Notification]:
    """Return notifications, the newest first; of one rule when it is given."""
    query = select(alert_notifications).order_by(_C.id.desc()).limit(limit)
    if rule is not None:
        query = query.where(_C.rule == rule)
    return [_notification(row) for row in connection.execute(query)]


def _settle(connection: Connection, notification: Notification, values: dict[str, Any]) -> bool:
    mine = (_C.id == notification.id, _C.fence == notification.fence, _IS_WAITING)
    return connection.execute(update(alert_notifications).where(*mine).values(values)).rowcount > 0


def _notification(row: Any) -> Notification:
    same = ("id", "notifier", "rule", "created_at", "due_at", "fence", "tries", "sender", "sent_at", "error")
    return Notification(
        **{name: getattr(row, name) for name in same},
        event=Event(row.event),
        alerts=msgspec.json.decode(row.alerts, type=tuple[Alert, ...]),
    )
