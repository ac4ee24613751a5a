"""``app.alerts``: what people should know: rules, what fires now and did before, silences, objectives."""

from __future__ import annotations

import builtins
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

from perdure.errors import InvalidArguments, NoSuchAlert, did_you_mean
from perdure.ledger.alerts.outbox import Notification
from perdure.ledger.alerts.turn import LastLook
from perdure.manage.alerts.facts import Sources, slo_counts
from perdure.manage.alerts.look import Look, look
from perdure.manage.alerts.rules import LONGEST_NAME, TIMEOUT, Rules, Values, checked
from perdure.model.alerts.alert import Alert, Phase
from perdure.model.alerts.notice import Route, Silence
from perdure.model.alerts.rule import Rule, Severity
from perdure.model.alerts.slo import DAY, HOUR, Slo, SloState, state_of
from perdure.model.clock import LONGEST_DELAY
from perdure.model.ids import new_id
from perdure.model.setting_types import given_of

#: Periods without a look after which another supervisor takes the turn.
MISSED = 2.0
#: Seconds that alerts which are over are listed beside those that fire.
RECENT = DAY


class Alerts:
    """The alerts of an application.

    Args:
        sources: Its parts that are looked at.

    Raises:
        SettingsError: A rule in the settings cannot be looked at.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._ledger = sources.ledger
        self._rules = Rules(sources.settings)
        #: Objectives by name.
        self.slos = {name: Slo(name, **given_of(one)) for name, one in sources.settings.slos.items()}
        #: What the ledger calls this process; two never have the same, though their pids are alike in containers.
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{new_id()}"

    def rule(
        self,
        name: str,
        measure: Callable[[], Values],
        *,
        above: float | None = None,
        below: float | None = None,
        clear: float | None = None,
        for_: float = 0.0,
        keep: float = 0.0,
        severity: str = "warning",
        todo: str = "",
        timeout: float = TIMEOUT,
    ) -> Rule:
        """Add a rule of the application's own, or replace the one of that name, and return it.

        Args:
            name: The alert's name.
            measure: Called by one supervisor every ``alerts.every`` seconds, in a thread: returns a number, numbers by
                name, or :class:`~perdure.Measured` values with labels and words. While it fails or hangs, its alerts stay
                as they are.
            above: The value above which it is an alert.
            below: The value below which it is one.
            clear: The value at which it is over again (hysteresis); the threshold by default.
            for_: Seconds that the value has to be bad before it fires.
            keep: Seconds that it has to be good again before it is resolved.
            severity: ``info``, ``warning`` or ``critical``.
            todo: What to do, a line for whoever is woken.
            timeout: Seconds that ``measure`` may take.

        Raises:
            SettingsError: It has no threshold or two, or can never be over.
            InvalidArguments: There is no such severity.
        """
        if severity not in tuple(Severity):
            raise InvalidArguments(f"severity={severity!r} must be one of {', '.join(Severity)}")
        rule = checked(Rule(name, f"own:{name}", Severity(severity), todo, above, below, clear, hold=for_, keep=keep))
        self._rules.add(rule, measure, timeout)
        return rule

    def rules(self) -> builtins.list[Rule]:
        """Return all rules, as settings change them.

        Raises:
            SettingsError: The settings change a rule that nobody has made.
        """
        return self._rules.all()

    def list(
        self, *, state: str | None = None, rule: str | None = None, since: float | None = None, limit: int = 100
    ) -> builtins.list[Alert]:
        """Return alerts, the newest first: by default those that fire, and those that ended in the last day.

        Args:
            state: ``pending``, ``firing`` or ``resolved``; both of the latter by default.
            rule: Those of one rule.
            since: Leaves out those that ended before, epoch seconds.
            limit: The most to return.

        Raises:
            InvalidArguments: There is no such state.
        """
        if state is not None and state not in tuple(Phase):
            raise InvalidArguments(f"state={state!r} must be one of {', '.join(Phase)}")
        phases = [state] if state else [Phase.FIRING.value, Phase.RESOLVED.value]
        if since is None and state is None:
            since = self._ledger.clock() - RECENT
        return self._ledger.alerts.listing(phases=phases, rule=rule, since=since, limit=limit)

    def open(self) -> builtins.list[Alert]:
        """Return all alerts that are pending or firing."""
        return self._ledger.alerts.open()

    def notifications(self, *, rule: str | None = None, limit: int = 50) -> builtins.list[Notification]:
        """Return what notifiers were or are to be told, the newest first.

        Args:
            rule: Of alerts of one rule.
            limit: The most to return.
        """
        return self._ledger.alerts.notifications(rule=rule, limit=limit)

    def known(self, name: str) -> Rule:
        """Return the rule of that name.

        Raises:
            NoSuchAlert: There is none.
        """
        rules = {rule.name: rule for rule in self.rules()}
        if name not in rules:
            raise NoSuchAlert(f"no alert {name!r}.{did_you_mean(name, rules)} Known: {', '.join(sorted(rules))}")
        return rules[name]

    def silence(
        self, rule: str, *, lasts: float, labels: Mapping[str, str] | None = None, by: str = "python", reason: str = ""
    ) -> Silence:
        """Tell notifiers nothing of some alerts for a while, and return the silence.

        Of an alert that still fires when it ends they are told then. An alert's end is told if its beginning was.

        Args:
            rule: The alerts' name; ``*`` and ``?`` stand for anything.
            lasts: Seconds until it ends by itself.
            labels: Labels that an alert must have.
            by: Who wishes so.
            reason: Why.

        Raises:
            InvalidArguments: It would last no time, or for ever.
            NoSuchAlert: No rule has such a name.
        """
        if not 0 < lasts <= LONGEST_DELAY:
            raise InvalidArguments(f"a silence lasts {lasts!r} seconds: it must end, and later than now")
        if not any(mark in rule for mark in "*?["):
            self.known(rule)
        return self._ledger.alerts.silence(rule[:LONGEST_NAME], dict(labels or {}), lasts, reason, by)

    def unsilence(self, silence_id: str) -> bool:
        """End a silence now and return whether it had not ended."""
        return self._ledger.alerts.end_silence(silence_id)

    def silences(self) -> builtins.list[Silence]:
        """Return the silences that have not ended."""
        return self._ledger.alerts.silences()

    def last_look(self) -> LastLook | None:
        """Return which supervisor looked last, and how long ago; None when none ever has."""
        return self._ledger.alerts.last_look()

    def look(self, *, always: bool = False) -> Look | None:
        """Look at all rules once, as supervisors do, and return what changed; None when it is another one's turn.

        Args:
            always: Whether to look although it is another one's turn; nothing is told twice.

        Raises:
            LedgerUnavailable: The ledger cannot be used.
        """
        lease = MISSED * self._sources.settings.alerts.every
        now = self._ledger.alerts.take_turn(self.holder, lease)
        if now is None and not always:
            return None
        now = now or self._ledger.clock()
        return look(self._sources, now, self._rules, list(self.slos.values()), self.routes())

    def routes(self) -> builtins.list[Route]:
        """Return what each notifier is told."""
        notifiers = self._sources.settings.alerts.notifiers
        return [Route(name, Severity(one.severity), one.rules) for name, one in notifiers.items()]

    def add_slo(self, slo: Slo) -> Slo:
        """Add an objective, or replace the one of its name, and return it; see :meth:`perdure.Perdure.slo`."""
        self.slos[slo.name] = slo
        return slo

    def slo_states(self) -> builtins.list[SloState]:
        """Return where each objective stands."""
        found: dict[Any, SloState] = {}
        now = self._ledger.clock()
        for slo in self.slos.values():
            counted = slo_counts(self._ledger, [slo], now, [slo.window, HOUR])
            found[slo.name] = state_of(slo, counted[slo, slo.window], counted[slo, HOUR])
        return list(found.values())
