"""``[alerts]`` and ``[slos]``: thresholds of the built-in rules, rules of one's own, who is told, and objectives."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Meta, UnsetType

from perdure.model.alerts.slo import DAY, LONGEST_WINDOW
from perdure.model.clock import LONGEST_DELAY
from perdure.model.setting_problems import Problem, WrongSettings
from perdure.model.setting_types import After, Before, table

Seconds = Annotated[float, Meta(gt=0, le=LONGEST_DELAY)]
Level = Literal["info", "warning", "critical"]


class RuleSettings(msgspec.Struct, kw_only=True):
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

    enabled: bool | UnsetType = UNSET
    measure: str | None = None
    above: float | UnsetType | None = UNSET
    below: float | UnsetType | None = UNSET
    clear: float | UnsetType | None = UNSET
    hold: Annotated[float, Meta(ge=0, le=LONGEST_DELAY)] | UnsetType | None = UNSET
    keep: Annotated[float, Meta(ge=0, le=LONGEST_DELAY)] | UnsetType | None = UNSET
    severity: Level | UnsetType | None = UNSET
    todo: str | UnsetType | None = UNSET
    match: dict[str, str] | UnsetType | None = UNSET


class SecretText(msgspec.Struct, frozen=True):
    """A text that is shown nowhere.

    Args:
        text: The text.
    """

    text: str

    def __repr__(self) -> str:
        return "***"

    def __rich_repr__(self) -> Any:
        yield "***"


def _hidden(given: Any) -> SecretText:
    if isinstance(given, SecretText):
        return given
    if not isinstance(given, str):
        raise ValueError("must be text")
    return SecretText(given)


def _web(url: SecretText) -> SecretText:
    parts = urlsplit(url.text.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http:// or https:// URL with a host")
    return SecretText(url.text.strip())


def _signing(secret: SecretText) -> SecretText:
    try:
        key = base64.b64decode(secret.text.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not 24 <= len(key) <= 64:
        raise ValueError("must be 'whsec_' and the base64 of 24 to 64 bytes")
    return secret


Hidden = Annotated[SecretText, Before(_hidden)]
WebUrl = Annotated[SecretText, Before(_hidden), After(_web)]


class NotifierSettings(msgspec.Struct, kw_only=True):
    """What all notifiers have.

    Args:
        severity: The mildest severity that it is told of.
        rules: Names of alerts that it is told of; ``*`` stands for anything.
        timeout: Seconds that one message may take.
    """

    kind: str
    severity: Level = "warning"
    rules: Annotated[list[str], Meta(min_length=1)] = msgspec.field(default_factory=lambda: ["*"])
    timeout: Annotated[float, Meta(gt=0, le=20.0)] = 10.0


class LogNotifier(NotifierSettings, kw_only=True):
    """A line in the log of the supervisor that sends it."""

    kind: Literal["log"] = "log"


class WebhookNotifier(NotifierSettings, kw_only=True):
    """A webhook as Standard Webhooks has it.

    Args:
        url: Where to.
        secret: What signs it, ``whsec_...``.
    """

    kind: Literal["webhook"] = "webhook"
    url: WebUrl
    secret: Annotated[SecretText, Before(_hidden), After(_signing)]


class EmailNotifier(NotifierSettings, kw_only=True):
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

    kind: Literal["email"] = "email"
    to: Annotated[list[str], Meta(min_length=1)]
    sender: str
    host: str
    port: Annotated[int, Meta(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = None
    password: Hidden | None = None


class SlackNotifier(NotifierSettings, kw_only=True):
    """A message to a channel, by an incoming webhook of Slack or of what speaks like it (Mattermost, Discord's ``/slack``).

    Args:
        url: The incoming webhook's URL, which is a secret.
    """

    kind: Literal["slack"] = "slack"
    url: WebUrl


class PagerDutyNotifier(NotifierSettings, kw_only=True):
    """An incident, by PagerDuty's Events API v2 or what speaks like it.

    Args:
        routing_key: The service's integration key.
        url: Where events go.
    """

    kind: Literal["pagerduty"] = "pagerduty"
    routing_key: Hidden
    url: WebUrl = SecretText("https://events.pagerduty.com/v2/enqueue")


_KINDS: dict[str, type[NotifierSettings]] = {
    "log": LogNotifier,
    "webhook": WebhookNotifier,
    "email": EmailNotifier,
    "slack": SlackNotifier,
    "pagerduty": PagerDutyNotifier,
}


def _notifier(given: Any) -> NotifierSettings:
    """Return the settings of a notifier; its kind says what else it has."""
    if isinstance(given, NotifierSettings):
        return given
    if not isinstance(given, Mapping):
        raise ValueError("must be a table")
    if "kind" not in given:
        raise WrongSettings([Problem(("kind",), f"is missing: one of {', '.join(_KINDS)}")])
    if given["kind"] not in _KINDS:
        raise WrongSettings([Problem(("kind",), f"must be one of {', '.join(_KINDS)}", given["kind"])])
    return table(_KINDS[given["kind"]], given)


Notifier = Annotated[NotifierSettings, Before(_notifier)]


def _log_alone() -> dict[str, NotifierSettings]:
    return {"log": LogNotifier()}


class AlertSettings(msgspec.Struct, kw_only=True):
    """Alerts. Times are in seconds.

    Args:
        every: How often the rules are looked at.
        rules: Changes of rules and rules of one's own, ``[alerts.rules.NAME]``.
        notifiers: Who is told, ``[alerts.notifiers.NAME]``; a log unless there is any.
    """

    every: Annotated[float, Meta(ge=0.2, le=300.0)] = 10.0
    rules: dict[str, RuleSettings] = msgspec.field(default_factory=dict)
    notifiers: dict[str, Notifier] = msgspec.field(default_factory=_log_alone)


class SloSettings(msgspec.Struct, kw_only=True):
    """An objective for a task's jobs, as ``app.slo()`` sets one.

    Args:
        task: The task.
        within: Seconds from when a job could run to its success; by default its success alone counts.
        target: The part of the jobs that has to be good, such as 0.999.
        window: Seconds over which it is judged, 1 to 90 days.
    """

    task: Annotated[str, Meta(min_length=1)]
    within: Seconds | None = None
    target: Annotated[float, Meta(gt=0, lt=1)] = 0.999
    window: Annotated[float, Meta(ge=DAY, le=LONGEST_WINDOW)] = 30 * DAY
