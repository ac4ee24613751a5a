"""The rules of an application: built-in ones as settings change them, those of settings, and those of its code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from perdure.errors import SettingsError, did_you_mean
from perdure.manage.alerts.measures import MEASURES
from perdure.model.alerts.builtin import builtin
from perdure.model.alerts.rule import Measured, Rule, Severity
from perdure.model.setting_types import given_of
from perdure.resilience.probe import Probe, ask_all
from perdure.settings.alert_settings import RuleSettings
from perdure.settings.settings import Settings

#: What a measure of an application returns: a value, values by name, or values with labels and words.
Values = float | Mapping[str, float] | Iterable[Measured]
#: Seconds that one of those may take.
TIMEOUT = 5.0
#: Longest name of a rule, in characters: the ledger's column.
LONGEST_NAME = 64


class Rules:
    """Rules by name, and the measures of an application's own.

    Args:
        settings: The application's settings.

    Raises:
        SettingsError: A rule in the settings has no measure or threshold, or names a measure that there is not.
    """

    def __init__(self, settings: Settings) -> None:
        self._rules = {rule.name: rule for rule in builtin(settings.queue_age_limit)}
        self._probes: dict[str, tuple[str, Probe]] = {}
        self._changed = settings.alerts.rules
        for name, given in settings.alerts.rules.items():
            known = self._rules.get(name)
            if known is not None or given.measure is not None:
                self._rules[name] = changed(known or _new(name, given), given)

    def add(self, rule: Rule, measure: Callable[[], Values], timeout: float) -> None:
        """Add a rule of the application, or replace the one of its name; settings may change it as any other.

        Args:
            rule: The rule.
            measure: Returns its values.
            timeout: Seconds that it may take.
        """
        given = self._changed.get(rule.name)
        self._rules[rule.name] = rule if given is None else changed(rule, given)
        self._probes[rule.measure] = (rule.name, Probe(lambda: {"values": measured_of(rule.name, measure())}, timeout))

    def all(self) -> list[Rule]:
        """Return all rules, the disabled ones too.

        Raises:
            SettingsError: The settings change a rule that nobody has made.
        """
        for name in self._changed.keys() - self._rules.keys():
            raise SettingsError(
                f"alerts.rules.{name} is no rule.{did_you_mean(name, self._rules)} "
                f"Known: {', '.join(sorted(self._rules))}. "
                "For a rule of your own say what it looks at: measure and above or below"
            )
        return list(self._rules.values())

    def own_values(self) -> dict[str, list[Measured] | None]:
        """Return what the application's own measures say now, taken side by side; None for one that fails or hangs."""
        found: dict[str, list[Measured] | None] = {}
        for name, finding in zip(self._probes, ask_all(probe for _, probe in self._probes.values()), strict=True):
            details: Any = finding.details
            found[name] = None if finding.error else details["values"]
        return found


def changed(rule: Rule, given: RuleSettings) -> Rule:
    """Return a rule as settings change it.

    Raises:
        SettingsError: It would have two thresholds, or an end on the wrong side of its threshold.
    """
    values = given_of(given)
    del values["measure"]
    if "severity" in values:
        values["severity"] = Severity(values["severity"])
    if {"above", "below"} & values.keys():  # one takes the place of the other, and of where it was over
        values = {"above": None, "below": None, "clear": None, **values}
    return checked(replace(rule, **values))


def checked(rule: Rule) -> Rule:
    """Return a rule that can be looked at.

    Raises:
        SettingsError: It has no threshold, two of them, or an end on the wrong side of it.
    """
    name = f"alert rule {rule.name!r}"
    if (rule.above is None) == (rule.below is None):
        raise SettingsError(f"{name}: give one of above= and below=")
    if rule.clear is not None and rule.is_bad(rule.clear):
        raise SettingsError(f"{name}: clear={rule.clear:g} is still bad, so it would never be over ({rule.condition})")
    if not 0 < len(rule.name) <= LONGEST_NAME or not rule.name.replace("_", "").replace("-", "").replace(".", "").isalnum():
        raise SettingsError(f"{name}: a name has letters, digits, _ - and ., {LONGEST_NAME} at most")
    return rule


def measured_of(name: str, values: Values) -> list[Measured]:
    """Return what a measure of an application returned, as measured values with labels.

    Args:
        name: The rule's name, for words.
        values: A number; numbers by the name of what they are of; or measured values.
    """
    if isinstance(values, (int, float)):
        return [Measured({}, float(values), f"{name} is {values:g}")]
    if isinstance(values, Mapping):
        return [Measured({"of": str(of)}, float(one), f"{name} of {of} is {one:g}") for of, one in values.items()]
    return list(values)


def _new(name: str, given: RuleSettings) -> Rule:
    measure = given.measure or ""
    if measure not in MEASURES:
        raise SettingsError(
            f"alerts.rules.{name}.measure = {measure!r} is no measure.{did_you_mean(measure, MEASURES)} "
            f"Known: {', '.join(sorted(MEASURES))}"
        )
    return Rule(name, measure, Severity.WARNING, "See docs/alerts.md, or say what to do in its setting todo.")
