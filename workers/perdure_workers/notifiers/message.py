"""What notifiers say, as data: the body of each kind. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

import msgspec

from perdure.ledger.alerts.outbox import Notification
from perdure.model.alerts.alert import Alert
from perdure.model.alerts.notice import Event
from perdure.model.text.safe import many_lines, one_line

#: Alerts of one message that are spelled out.
MOST_SHOWN = 20
#: Longest text that PagerDuty takes as a summary, in characters.
_LONGEST_SUMMARY = 1024
_MARKS = {"critical": ":red_circle:", "warning": ":large_orange_circle:", "info": ":large_blue_circle:"}


def title(notification: Notification) -> str:
    """Return a message in one line."""
    count = len(notification.alerts)
    if notification.event is Event.TEST:
        return f"[TEST] {one_line(notification.alerts[0].message)}"
    if count == 1:
        return f"[{notification.event.upper()}] {one_line(notification.alerts[0].message)}"
    return f"[{notification.event.upper()}: {count}] {notification.rule}"


def lines(notification: Notification, todo: str) -> list[str]:
    """Return a message in lines: each alert, since when, and what to do."""
    shown = [_line(alert) for alert in notification.alerts[:MOST_SHOWN]]
    if more := len(notification.alerts) - len(shown):
        shown.append(f"and {more} more: perdure alerts list --rule {notification.rule}")
    if todo and notification.event is not Event.RESOLVED:
        shown += ["", f"What to do: {todo}"]
    return [many_lines(line) for line in shown]


def webhook(notification: Notification, todo: str) -> bytes:
    """Return the body of a webhook; the same bytes at each try."""
    data = {
        "id": notification.id,
        "rule": notification.rule,
        "state": notification.event.value,
        "todo": todo,
        "alerts": [plain(alert) for alert in notification.alerts],
    }
    body = {"type": f"alert.{notification.event.value}", "timestamp": _iso(notification.created_at), "data": data}
    return msgspec.json.encode(body)


def slack(notification: Notification, todo: str) -> dict[str, Any]:
    """Return what an incoming webhook of Slack takes."""
    worst = max(notification.alerts, key=lambda alert: alert.severity.rank)
    mark = ":white_check_mark:" if notification.event is Event.RESOLVED else _MARKS[worst.severity.value]
    text = "\n".join([f"{mark} *{_slack(title(notification))}*", *map(_slack, lines(notification, todo))])
    return {"text": f"{text}\n_{notification.id}_"}


def pagerduty(notification: Notification, alert: Alert, todo: str, routing_key: str) -> dict[str, Any]:
    """Return an event of PagerDuty's Events API v2; one alert is one incident, by its id.

    https://developer.pagerduty.com/docs/events-api-v2-overview
    """
    action = "resolve" if notification.event is Event.RESOLVED else "trigger"
    event: dict[str, Any] = {"routing_key": routing_key, "event_action": action, "dedup_key": f"perdure:{alert.id}"}
    if action == "trigger":
        event["payload"] = {
            "summary": one_line(alert.message)[:_LONGEST_SUMMARY],
            "source": next(iter(alert.labels.values()), "perdure"),
            "severity": alert.severity.value,
            "timestamp": _iso(alert.fired_at or alert.since),
            "class": alert.rule,
            "custom_details": {**plain(alert), "todo": todo, "notification": notification.id},
        }
    return event


def email(notification: Notification, todo: str, sender: str, to: list[str]) -> EmailMessage:
    """Return an e-mail; its Message-ID is the same at each try."""
    mail = EmailMessage()
    mail["Subject"] = title(notification)[:200]
    mail["From"], mail["To"] = sender, ", ".join(to)
    mail["Date"] = format_datetime(datetime.fromtimestamp(notification.created_at, UTC))
    mail["Message-ID"] = f"<{notification.id}@perdure>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content("\n".join([*lines(notification, todo), "", f"Message {notification.id}"]))
    return mail


def plain(alert: Alert) -> dict[str, Any]:
    """Return an alert as JSON has it."""
    return {
        "id": alert.id,
        "name": alert.rule,
        "state": alert.phase.value,
        "severity": alert.severity.value,
        "since": _iso(alert.fired_at or alert.since),
        "resolved_at": None if alert.resolved_at is None else _iso(alert.resolved_at),
        "message": alert.message,
        "value": alert.value,
        "labels": dict(alert.labels),
    }


def _line(alert: Alert) -> str:
    since = _iso(alert.fired_at or alert.since)
    return f"{alert.severity.value} {alert.rule}{_labels(alert.labels)} since {since}: {alert.message}"


def _labels(labels: Mapping[str, str]) -> str:
    return " {" + ", ".join(f"{name}={value}" for name, value in labels.items()) + "}" if labels else ""


def _slack(text: str) -> str:
    """Return a text in which nothing is a link or a mention."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
