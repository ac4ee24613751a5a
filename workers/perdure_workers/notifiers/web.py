"""Notifiers that are told over HTTP."""

from __future__ import annotations

import time
from typing import Any

import httpx
import msgspec

from perdure.ledger.alerts.outbox import Notification
from perdure.settings.alert_settings import PagerDutyNotifier, SlackNotifier, WebhookNotifier
from perdure_tasks.signatures import sign
from perdure_workers.notifiers import message
from perdure_workers.notifiers.errors import NotSent

_JSON = {"content-type": "application/json"}


def send_webhook(settings: WebhookNotifier, notification: Notification, todo: str) -> None:
    """Post a webhook as Standard Webhooks 1.0 has it, under the notification's id."""
    body = message.webhook(notification, todo)
    signed = sign(settings.secret.text, notification.id, int(time.time()), body)
    _post(settings.url.text, body, settings.timeout, {"idempotency-key": notification.id, **signed})


def send_slack(settings: SlackNotifier, notification: Notification, todo: str) -> None:
    """Post to an incoming webhook."""
    _post_json(settings.url.text, message.slack(notification, todo), settings.timeout)


def send_pagerduty(settings: PagerDutyNotifier, notification: Notification, todo: str) -> None:
    """Send an event for each alert; a repeated one is the same incident."""
    url, key = settings.url.text, settings.routing_key.text
    for alert in notification.alerts:
        _post_json(url, message.pagerduty(notification, alert, todo, key), settings.timeout)


def _post_json(url: str, body: dict[str, Any], timeout: float) -> None:
    _post(url, msgspec.json.encode(body), timeout, {})


def _post(url: str, body: bytes, timeout: float, headers: dict[str, str]) -> None:
    """Post and take any 2xx; the answer is not read, and its URL, which may be a secret, is in no message.

    Raises:
        NotSent: It was not taken.
    """
    host = httpx.URL(url).host
    try:
        with (
            httpx.Client(timeout=timeout) as client,
            client.stream("POST", url, content=body, headers={**_JSON, **headers}) as response,
        ):
            if not response.is_success:
                raise NotSent(f"{host} answered {response.status_code}")
    except httpx.HTTPError as error:
        raise NotSent(f"{host}: {type(error).__name__}: {error}".replace(url, "the URL")) from None
