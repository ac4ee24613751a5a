"""``[alerts]`` and ``[slos]``: thresholds of the built-in rules, rules of one's own, who is told, and objectives."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, SecretStr

from perdure.model.alerts.slo import DAY, LONGEST_WINDOW
from perdure.model.clock import LONGEST_DELAY

Seconds = Annotated[float, Field(gt=0, le=LONGEST_DELAY)]
Level = Literal["info", "warning", "critical"]


class RuleSettings(BaseModel):
    """What is changed of a rule, or a rule of one's own on one of the measures. Times are in seconds.

    Args:
        enabled: Whether it is looked at.
        measure: What it looks at; only for a rule of one's own.
        above: The value above which it is an alert.
        below: The value below which it is one.
        clear: The value at which it is over again.
        hold: How long the value has to be bad before it fires.
        keep: How long it has to be good again before it is resolved.
        severity: How bad it is.
        todo: What to do about it, for whoever is woken.
        match: Labels that it looks at, such as ``{ bulkhead = "critical" }``.
    """

    model_config = ConfigDict(extra="forbid", defer_build=True)

    enabled: bool = True
    measure: str | None = None
    above: float | None = Field(default=None, allow_inf_nan=False)
    below: float | None = Field(default=None, allow_inf_nan=False)
    clear: float | None = Field(default=None, allow_inf_nan=False)
    hold: float | None = Field(default=None, ge=0, le=LONGEST_DELAY)
    keep: float | None = Field(default=None, ge=0, le=LONGEST_DELAY)
    severity: Level | None = None
    todo: str | None = None
    match: dict[str, str] | None = None


def _web(url: SecretStr) -> SecretStr:
    parts = urlsplit(url.get_secret_value().strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http:// or https:// URL with a host")
    return SecretStr(url.get_secret_value().strip())


def _signing(secret: SecretStr) -> SecretStr:
    try:
        key = base64.b64decode(secret.get_secret_value().removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not 24 <= len(key) <= 64:
        raise ValueError("must be 'whsec_' and the base64 of 24 to 64 bytes")
    return secret


WebUrl = Annotated[SecretStr, AfterValidator(_web)]


class NotifierSettings(BaseModel):
    """What all notifiers have.

    Args:
        severity: The mildest severity that it is told of.
        rules: Names of alerts that it is told of; ``*`` stands for anything.
        timeout: Seconds that one message may take.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, defer_build=True)

    severity: Level = "warning"
    rules: list[str] = Field(default_factory=lambda: ["*"], min_length=1)
    timeout: float = Field(default=10.0, gt=0, le=20.0)


class LogNotifier(NotifierSettings):
    """A line in the log of the supervisor that sends it."""

    kind: Literal["log"]


class WebhookNotifier(NotifierSettings):
    """A webhook as Standard Webhooks has it.

    Args:
        url: Where to.
        secret: What signs it, ``whsec_...``.
    """

    kind: Literal["webhook"]
    url: WebUrl
    secret: Annotated[SecretStr, AfterValidator(_signing)]


class EmailNotifier(NotifierSettings):
    """An e-mail by SMTP.

    Args:
        to: Who gets it.
        sender: Whom it is from.
        host: The mail server.
        port: Its TCP port.
        security: ``starttls``, ``tls`` from the first byte, or ``none``.
        user: The user there, if it wants one.
        password: That user's password.
    """

    kind: Literal["email"]
    to: list[str] = Field(min_length=1)
    sender: str
    host: str
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = None
    password: SecretStr | None = None


class SlackNotifier(NotifierSettings):
    """A message to a channel, by an incoming webhook of Slack or of what speaks like it (Mattermost, Discord's ``/slack``).

    Args:
        url: The incoming webhook's URL, which is a secret.
    """

    kind: Literal["slack"]
    url: WebUrl


class PagerDutyNotifier(NotifierSettings):
    """An incident, by PagerDuty's Events API v2 or what speaks like it.

    Args:
        routing_key: The service's integration key.
        url: Where events go.
    """

    kind: Literal["pagerduty"]
    routing_key: SecretStr
    url: WebUrl = SecretStr("https://events.pagerduty.com/v2/enqueue")


Notifier = Annotated[
    LogNotifier | WebhookNotifier | EmailNotifier | SlackNotifier | PagerDutyNotifier, Discriminator("kind")
]
_KINDS: dict[str, type[NotifierSettings]] = {
    "log": LogNotifier,
    "webhook": WebhookNotifier,
    "email": EmailNotifier,
    "slack": SlackNotifier,
    "pagerduty": PagerDutyNotifier,
}


def _log_alone() -> dict[str, Notifier]:
    return {"log": LogNotifier(kind="log")}


class AlertSettings(BaseModel):
    """Alerts. Times are in seconds.

    Args:
        every: How often the rules are looked at.
        rules: Changes of rules and rules of one's own, ``[alerts.rules.NAME]``.
        notifiers: Who is told, ``[alerts.notifiers.NAME]``; a log unless there is any.
    """

    model_config = ConfigDict(extra="forbid", defer_build=True)

    every: float = Field(default=10.0, ge=0.2, le=300.0)
    rules: dict[str, RuleSettings] = Field(default_factory=dict)
    notifiers: dict[str, Notifier] = Field(default_factory=_log_alone)


class SloSettings(BaseModel):
    """An objective for a task's jobs, as ``app.slo()`` sets one.

    Args:
        task: The task.
        within: Seconds from when a job could run to its success; by default its success alone counts.
        target: The part of the jobs that has to be good, such as 0.999.
        window: Seconds over which it is judged, 1 to 90 days.
    """

    model_config = ConfigDict(extra="forbid", defer_build=True)

    task: str = Field(min_length=1)
    within: Seconds | None = None
    target: float = Field(default=0.999, gt=0, lt=1)
    window: float = Field(default=30 * DAY, ge=DAY, le=LONGEST_WINDOW)


def names_beside(path: tuple[str, ...]) -> list[str]:
    """Return the settings that there are where a path leads, from ``alerts`` on, for messages.

    Args:
        path: Steps below ``alerts``, the last one the setting that is none.
    """
    if len(path) == 1:
        return list(AlertSettings.model_fields)
    if path[0] == "rules":
        return list(RuleSettings.model_fields)
    kind = next((step for step in path[2:-1] if step in _KINDS), "log")
    return list(_KINDS[kind].model_fields)
