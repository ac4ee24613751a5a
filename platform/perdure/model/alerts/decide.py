"""When an alert begins, fires and is over: a pure decision, whose outcome is data that the ledger applies.

The states are Prometheus': pending until the value has been bad for ``hold`` (its ``for``), then firing, and resolved once
it has been good for ``keep`` (its ``keep_firing_for``). https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from perdure.model.alerts.alert import Alert, Phase, key_of
from perdure.model.alerts.rule import Measured, Rule

#: Seconds after which an alert is over whose rule no supervisor knows any more; one of another release may know it.
FORGOTTEN = 3600.0


class Step(StrEnum):
    """What becomes of an alert."""

    OPEN = "open"
    KEEP = "keep"
    FIRE = "fire"
    RESOLVE = "resolve"
    DROP = "drop"


class Change(Struct, frozen=True):
    """One step of one alert.

    Attributes:
        step: What happens.
        alert: The alert after it.
    """

    step: Step
    alert: Alert


def decide(rule: Rule, alert: Alert | None, found: Measured | None, now: float, new_id: Callable[[], str]) -> Change | None:
    """Return what becomes of an alert; None when there is none and need be none.

    Args:
        rule: The rule.
        alert: The rule's open alert about a thing; None when there is none.
        found: What was measured of that thing now; None when it is gone or has no value any more.
        now: The ledger's time, epoch seconds.
        new_id: Makes the id of a new alert.
    """
    if alert is None:
        if found is None or not rule.is_bad(found.value):
            return None
        fires = rule.hold <= 0
        phase, fired_at = (Phase.FIRING, now) if fires else (Phase.PENDING, None)
        what = (rule.name, dict(found.labels), rule.severity, phase, found.value, found.message)
        return Change(Step.OPEN, Alert(new_id(), *what, since=now, fired_at=fired_at, seen_at=now))
    seen = replace(alert, seen_at=now, severity=rule.severity)
    if found is not None:
        seen = replace(seen, value=found.value, message=found.message)
    return _pending(rule, seen, found, now) if alert.phase is Phase.PENDING else _firing(rule, seen, found, now)


def decide_all(
    rules: Iterable[Rule],
    alerts: Sequence[Alert],
    measured: Mapping[str, Sequence[Measured] | None],
    now: float,
    new_id: Callable[[], str],
) -> list[Change]:
    """Return what becomes of all alerts.

    Args:
        rules: The rules that this process knows, the disabled ones too: their alerts are over.
        alerts: All open alerts.
        measured: What each measure found; None for one that could not be taken, whose alerts stay as they are.
        now: The ledger's time, epoch seconds.
        new_id: Makes ids of new alerts.
    """
    known, changes = {rule.name: rule for rule in rules}, []
    open_ones = {alert.key: alert for alert in alerts}
    for rule in known.values():
        values = measured.get(rule.measure) if rule.enabled else ()
        if values is None:
            continue
        found = {key_of(rule.name, one.labels): one for one in values if rule.concerns(one.labels)}
        keys = [*found, *(key for key, alert in open_ones.items() if alert.rule == rule.name and key not in found)]
        steps = (decide(rule, open_ones.get(key), found.get(key), now, new_id) for key in keys)
        changes += [step for step in steps if step is not None]
    forgotten = (alert for alert in alerts if alert.rule not in known and now - alert.seen_at > FORGOTTEN)
    return changes + [_ended(replace(alert, message="its rule is gone"), now) for alert in forgotten]


def _pending(rule: Rule, alert: Alert, found: Measured | None, now: float) -> Change:
    if found is None or not rule.is_bad(found.value):
        return Change(Step.DROP, alert)
    if now - alert.since >= rule.hold:
        return Change(Step.FIRE, replace(alert, phase=Phase.FIRING, fired_at=now))
    return Change(Step.KEEP, alert)


def _firing(rule: Rule, alert: Alert, found: Measured | None, now: float) -> Change:
    if found is not None and not rule.is_good(found.value):
        return Change(Step.KEEP, replace(alert, clear_since=None))
    since = now if alert.clear_since is None else alert.clear_since
    if now - since >= rule.keep:
        return _ended(alert, now)
    return Change(Step.KEEP, replace(alert, clear_since=since))


def _ended(alert: Alert, now: float) -> Change:
    if alert.phase is Phase.PENDING:
        return Change(Step.DROP, alert)
    return Change(Step.RESOLVE, replace(alert, phase=Phase.RESOLVED, resolved_at=now))
