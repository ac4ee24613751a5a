"""An alert: one rule's finding about one thing, from its first sign to its end."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from perdure.model.alerts.rule import Severity


class Phase(StrEnum):
    """Where an alert stands. ``pending``: bad, but not for long enough to tell anybody."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class Alert(msgspec.Struct, frozen=True):
    """One alert. Times are epoch seconds by the ledger's clock.

    Attributes:
        id: Its id; the next time that the same thing is bad is another alert.
        rule: The rule's name.
        labels: What it is about.
        severity: How bad it is.
        phase: Where it stands.
        value: The newest value.
        message: The matter in words, as of the newest value.
        since: When the value became bad.
        fired_at: When it had been bad for long enough.
        clear_since: Since when it is good again, while the alert is kept for a while.
        resolved_at: When it was over.
        seen_at: When it was looked at last.
        told: Whether notifiers were told that it fires.
    """

    id: str
    rule: str
    labels: Mapping[str, str]
    severity: Severity
    phase: Phase
    value: float
    message: str
    since: float
    fired_at: float | None = None
    clear_since: float | None = None
    resolved_at: float | None = None
    seen_at: float = 0.0
    told: bool = False

    @property
    def key(self) -> str:
        """What tells it apart from other alerts that are open: its rule and its labels."""
        return key_of(self.rule, self.labels)


def key_of(rule: str, labels: Mapping[str, str]) -> str:
    """Return the identity of a rule's alerts about a thing, as 32 hexadecimal digits."""
    text = msgspec.json.encode([rule, sorted(labels.items())])
    return hashlib.sha256(text).hexdigest()[:32]
