"""Delivering what is due: one sender at a time, again until it is sent, by a job or directly.

A webhook is sent by a job of its own, which Flower shows. When no worker can run that job, when the alert is about the
platform itself, or when the job has not sent it in time, whoever finds it due sends it directly.
"""

from __future__ import annotations

import logging
import os
import socket
from typing import Any

from perdure import JobContext, Perdure
from perdure.errors import NoSuchAlert, PerdureError
from perdure.ledger.alerts.outbox import Notification
from perdure.model.alerts.notice import Event
from perdure.model.jitter import JITTER
from perdure.settings.alert_settings import NotifierSettings, WebhookNotifier
from perdure_workers.notifiers.errors import NotSent
from perdure_workers.notifiers.senders import send

logger = logging.getLogger("perdure.alerts")

NAME, BULKHEAD = "perdure.notify", "critical"
#: Notifications that one look takes.
PAGE = 20
#: Seconds that a job has to send what it was given.
PATIENCE = 30.0
#: Seconds from a failed try to the next: the first, and the most. After a day it is given up.
FIRST_DELAY, LONGEST_DELAY, GIVE_UP_AFTER = 5.0, 600.0, 86_400.0
#: Alerts that say that jobs may not run: they wait for none.
ABOUT_THE_PLATFORM = frozenset(
    {
        "bulkhead_unserved",
        "worker_failed",
        "bells_lost",
        "disk_low",
        "health_check",
        "health_check_critical",
        "queue_too_old",
    }
)


def register_notify(app: Perdure) -> None:
    """Add the job that sends webhooks to an application, once; workers and supervisors do."""
    if NAME in app.tasks:
        return

    def notify(ctx: JobContext, notification: str, fence: int) -> dict[str, Any]:
        """Send one notification of an alert; when it fails, supervisors try again."""
        claimed = app.ledger.alerts.claim(notification, sender_name(), _lease(app), fence)
        if claimed is None:
            return {"sent": False, "why": "somebody else has it"}
        error = deliver(app, claimed)
        return {"sent": not error, "why": error}

    app.job(name=NAME, bulkhead=BULKHEAD, retry="none", timeout=60.0, priority=0)(notify)


def deliver_due(app: Perdure) -> int:
    """Deliver a page of what is due and return how many notifications were taken up."""
    notifiers = list(app.settings.alerts.notifiers)
    taken = 0
    for found in app.ledger.alerts.due(PAGE, notifiers):
        claimed = app.ledger.alerts.claim(found, sender_name(), _lease(app))
        if claimed is None:  # another supervisor was first
            continue
        taken += 1
        if not _handed_over(app, claimed):
            deliver(app, claimed)
    return taken


def deliver(app: Perdure, notification: Notification) -> str:
    """Send a claimed notification and note how it went; return why it was not sent, or an empty text."""
    try:
        send(notifier(app, notification.notifier), notification, todo_of(app, notification.rule))
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not be lost
        what = str(error) if isinstance(error, NotSent) else type(error).__name__
        delay = _delay(app, notification)
        again = "given up" if delay is None else f"tried again in {delay:.0f} s"
        logger.warning("notifier %s was not told of %s, %s: %s", notification.notifier, notification.rule, again, what)
        app.ledger.alerts.failed(notification, what, delay)
        return what
    app.ledger.alerts.sent(notification)
    return ""


def notifier(app: Perdure, name: str) -> NotifierSettings:
    """Return a notifier's settings.

    Raises:
        NoSuchAlert: There is none of that name.
    """
    found = app.settings.alerts.notifiers.get(name)
    if found is None:
        raise NoSuchAlert(f"no notifier {name!r}. Known: {', '.join(sorted(app.settings.alerts.notifiers))}")
    return found


def todo_of(app: Perdure, rule: str) -> str:
    """Return what to do about a rule's alerts; nothing for a rule that this process does not know."""
    return next((known.todo for known in app.alerts.rules() if known.name == rule), "")


def sender_name() -> str:
    """Return what the ledger calls this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _handed_over(app: Perdure, notification: Notification) -> bool:
    """Give a webhook to a job, if one is likely to run and it is the first try; return whether that was done."""
    is_webhook = isinstance(notifier(app, notification.notifier), WebhookNotifier)
    if not is_webhook or notification.tries > 1 or notification.fence > 1 or notification.rule in ABOUT_THE_PLATFORM:
        return False
    if notification.event is Event.TEST or not _is_served(app):
        return False
    if not app.ledger.alerts.postpone(notification, PATIENCE):
        return True
    key = f"{notification.id}:{notification.fence}"
    try:
        app.task(NAME).options(idempotency_key=key).submit(notification.id, notification.fence)
    except PerdureError as error:
        logger.warning("no job for notification %s, so it is sent directly: %s", notification.id, error)
    return True


def _is_served(app: Perdure) -> bool:
    return BULKHEAD in {worker.bulkhead for worker in app.workers.list() if not worker.draining}


def _delay(app: Perdure, notification: Notification) -> float | None:
    if app.ledger.clock() - notification.created_at > GIVE_UP_AFTER:
        return None
    longest = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(notification.tries - 1, 20))
    return JITTER.uniform(longest / 2, longest)


def _lease(app: Perdure) -> float:
    """Return for how many seconds nobody else sends: for longer than one message may take."""
    timeouts = [one.timeout for one in app.settings.alerts.notifiers.values()]
    return 4 * max(timeouts, default=10.0) + 5.0
