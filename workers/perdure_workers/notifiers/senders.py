"""Which notifier is told how, as one table."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from perdure.ledger.alerts.outbox import Notification
from perdure.model.alerts.notice import Event
from perdure.settings.alert_settings import (
    EmailNotifier,
    LogNotifier,
    NotifierSettings,
    PagerDutyNotifier,
    SlackNotifier,
    WebhookNotifier,
)
from perdure_workers.notifiers import message

logger = logging.getLogger("perdure.alerts")

Send = Callable[[Any, Notification, str], None]


def send(settings: NotifierSettings, notification: Notification, todo: str) -> None:
    """Tell a notifier.

    Args:
        settings: The notifier.
        notification: What it is told.
        todo: What to do about the alerts.

    Raises:
        NotSent: It was not told; it can be tried again.
    """
    _SENDERS[type(settings)](settings, notification, todo)


def _log(_settings: LogNotifier, notification: Notification, todo: str) -> None:
    level = logging.WARNING if notification.event is Event.FIRING else logging.INFO
    said = "; ".join(line for line in message.lines(notification, todo) if line)
    logger.log(level, "%s (message %s): %s", message.title(notification), notification.id, said)


# Imported when they are needed: httpx takes megabytes that a quiet worker does without.


def _webhook(settings: WebhookNotifier, notification: Notification, todo: str) -> None:
    from perdure_workers.notifiers.web import send_webhook

    send_webhook(settings, notification, todo)


def _slack(settings: SlackNotifier, notification: Notification, todo: str) -> None:
    from perdure_workers.notifiers.web import send_slack

    send_slack(settings, notification, todo)


def _pagerduty(settings: PagerDutyNotifier, notification: Notification, todo: str) -> None:
    from perdure_workers.notifiers.web import send_pagerduty

    send_pagerduty(settings, notification, todo)


def _mail(settings: EmailNotifier, notification: Notification, todo: str) -> None:
    from perdure_workers.notifiers.mail import send_email

    send_email(settings, notification, todo)


_SENDERS: dict[type[NotifierSettings], Send] = {
    LogNotifier: _log,
    WebhookNotifier: _webhook,
    SlackNotifier: _slack,
    PagerDutyNotifier: _pagerduty,
    EmailNotifier: _mail,
}
