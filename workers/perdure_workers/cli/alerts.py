"""``perdure alerts``: what people should know, who was told, and silence for a while."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import click
from msgspec.structs import asdict

from perdure.errors import NoSuchAlert
from perdure.ledger.alerts.outbox import Notification
from perdure.model.alerts.alert import Alert, Phase
from perdure.model.alerts.notice import Event, Silence
from perdure.model.alerts.rule import Rule, Severity
from perdure.model.clock import to_datetime
from perdure.model.ids import new_id
from perdure.system.who import whoami
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import Exit, ago, json_option, print_json, print_table, say

#: Seconds without a look after which somebody should know that nobody looks.
STALE = 60.0


@click.group()
def alerts() -> None:
    """See what fires and what did, try notifiers, silence alerts."""


@alerts.command("list")
@click.option("--state", type=click.Choice([phase.value for phase in Phase]), help="Only those.")
@click.option("--rule", help="Only alerts of this name.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="The most to list.")
@json_option
@pass_context
def list_alerts(context: Context, state: str | None, rule: str | None, limit: int, as_json: bool) -> None:
    """List the alerts that fire, and those that ended in the last day; with --state all of that state."""
    found = context.app.alerts.list(state=state, rule=rule, limit=limit)
    found.sort(key=lambda alert: (alert.phase is Phase.RESOLVED, -alert.severity.rank, -alert.since))
    if as_json:
        print_json([plain(alert) for alert in found])
        return
    columns = ("alert", "state", "severity", "since", "what")
    print_table(columns, [(a.rule, a.phase, a.severity, ago(_since(a)), a.message) for a in found])
    _tell_who_looks(context)


@alerts.command()
@click.argument("name")
@json_option
@pass_context
def show(context: Context, name: str, as_json: bool) -> None:
    """Say what alert NAME means, what to do about it, when it fired, and who was told."""
    of = context.app.alerts
    rule = of.known(name)
    found = of.list(state="pending", rule=name) + of.list(state="firing", rule=name)
    found += of.list(state="resolved", rule=name, limit=20)
    told = of.notifications(rule=name, limit=20)
    if as_json:
        plain_told = [plain_notification(one) for one in told]
        print_json({**plain_rule(rule), "alerts": [plain(alert) for alert in found], "notifications": plain_told})
        return
    say(f"{rule.name} ({rule.severity}{'' if rule.enabled else ', switched off'}): {rule.condition}")
    say(f"What to do: {rule.todo}")
    rows = [(a.phase, ago(_since(a)), ago(to_datetime(a.resolved_at)), a.message) for a in found]
    print_table(("state", "since", "over", "what"), rows, title="Alerts")
    sent = [(ago(to_datetime(one.created_at)), one.notifier, one.event, _went(one), one.id) for one in told]
    print_table(("when", "notifier", "says", "went", "message"), sent, title="Told")


@alerts.command("rules")
@json_option
@pass_context
def list_rules(context: Context, as_json: bool) -> None:
    """List the rules, as settings change them."""
    rules = sorted(context.app.alerts.rules(), key=lambda rule: rule.name)
    if as_json:
        print_json([plain_rule(rule) for rule in rules])
        return
    rows = [(rule.name, rule.severity if rule.enabled else "off", rule.condition, rule.todo) for rule in rules]
    print_table(("alert", "severity", "when", "what to do"), rows)


@alerts.command()
@click.argument("notifier", required=False)
@json_option
@pass_context
def test(context: Context, notifier: str | None, as_json: bool) -> None:
    """Send a test message to NOTIFIER, or to all of them, from here; exit code 1 when one does not take it."""
    from perdure_workers.notifiers.senders import send

    known = context.app.settings.alerts.notifiers
    if notifier is not None and notifier not in known:
        raise NoSuchAlert(f"no notifier {notifier!r}. Known: {', '.join(sorted(known))}")
    results = []
    for name in [notifier] if notifier is not None else list(known):
        try:
            send(known[name], _trial(name), "Nothing: this is a test.")
            error = ""
        except Exception as problem:  # noqa: BLE001 - what a notifier says is what is asked for
            error = str(problem)
        results.append({"notifier": name, "kind": known[name].kind, "sent": not error, "error": error})
    if as_json:
        print_json(results)
    else:
        print_table(("notifier", "kind", "found"), [(r["notifier"], r["kind"], r["error"] or "sent") for r in results])
    sys.exit(Exit.OK if all(result["sent"] for result in results) else Exit.ERROR)


@alerts.command()
@click.argument("name")
@click.option(
    "--for", "lasts", type=click.FloatRange(min=0, min_open=True), default=3600.0, show_default=True, help="Seconds."
)
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Only alerts with this label; repeatable.")
@click.option("--reason", default="", help="Why; shown to others.")
@json_option
@pass_context
def silence(context: Context, name: str, lasts: float, labels: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Tell nobody of alert NAME for a while; * in it stands for anything."""
    wanted = dict(_label(one) for one in labels)
    made = context.app.alerts.silence(name, lasts=lasts, labels=wanted, by=f"cli:{whoami()}", reason=reason)
    if as_json:
        print_json(plain_silence(made))
    else:
        say(f"silenced for {lasts:g} s. End it sooner with: perdure alerts unsilence {made.id}")


@alerts.command()
@click.argument("silence_id")
@json_option
@pass_context
def unsilence(context: Context, silence_id: str, as_json: bool) -> None:
    """End a silence now; what still fires is told."""
    ended = context.app.alerts.unsilence(silence_id)
    if as_json:
        print_json({"id": silence_id, "ended": ended})
    else:
        say("ended" if ended else "it had ended, or there is none of that id")


@alerts.command()
@json_option
@pass_context
def silences(context: Context, as_json: bool) -> None:
    """List the silences that have not ended."""
    found = context.app.alerts.silences()
    if as_json:
        print_json([plain_silence(one) for one in found])
        return
    rows = [(s.id, s.rule, _labels(s.labels), ago(to_datetime(s.ends_at)), s.by, s.reason) for s in found]
    print_table(("id", "alert", "labels", "ends", "by", "reason"), rows)


@alerts.command()
@pass_context
def prometheus(context: Context) -> None:
    """Print the same rules for Prometheus, as settings change them; deploy/prometheus/ has those without settings."""
    from perdure_workers.notifiers.prometheus import rules_file

    app = context.app
    click.echo(rules_file(app.alerts.rules(), list(app.alerts.slos.values())), nl=False)


def plain(alert: Alert) -> dict[str, Any]:
    """Return an alert as JSON has it."""
    return {
        "id": alert.id,
        "name": alert.rule,
        "state": alert.phase.value,
        "severity": alert.severity.value,
        "since": _since(alert),
        "resolved_at": to_datetime(alert.resolved_at),
        "message": alert.message,
        "value": alert.value,
        "labels": dict(alert.labels),
        "told": alert.told,
    }


def plain_rule(rule: Rule) -> dict[str, Any]:
    """Return a rule as JSON has it."""
    return {**asdict(rule), "severity": rule.severity.value, "condition": rule.condition}


def plain_silence(one: Silence) -> dict[str, Any]:
    """Return a silence as JSON has it."""
    times = {"created_at": to_datetime(one.created_at), "ends_at": to_datetime(one.ends_at)}
    return {"id": one.id, "rule": one.rule, "labels": dict(one.labels), "reason": one.reason, "by": one.by, **times}


def plain_notification(one: Notification) -> dict[str, Any]:
    """Return a notification as JSON has it."""
    times = {name: to_datetime(getattr(one, name)) for name in ("created_at", "due_at", "sent_at")}
    same = {name: getattr(one, name) for name in ("id", "notifier", "tries", "sender", "error")}
    return {**same, **times, "event": one.event.value, "alerts": len(one.alerts)}


def _since(alert: Alert) -> datetime | None:
    return to_datetime(alert.fired_at or alert.since)


def _went(one: Notification) -> str:
    if one.sent_at is not None:
        return f"sent {ago(to_datetime(one.sent_at))}"
    if one.due_at is None:
        return f"given up after {one.tries} tries: {one.error}"
    return f"to be sent, {one.tries} tries" + (f": {one.error}" if one.error else "")


def _labels(labels: Any) -> str:
    return ", ".join(f"{name}={value}" for name, value in labels.items())


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.UsageError(f"--label {text!r}: write it as NAME=VALUE, such as bulkhead=normal")
    return name, value


def _trial(notifier: str) -> Notification:
    now = datetime.now(UTC).timestamp()
    message = f"a test of the notifier {notifier}; nothing is the matter"
    alert = Alert(new_id(), "test", {"notifier": notifier}, Severity.INFO, Phase.FIRING, 0.0, message, now, fired_at=now)
    return Notification(new_id(), notifier, "test", Event.TEST, (alert,), now, None, 0, 1, None, None, None)


def _tell_who_looks(context: Context) -> None:
    last = context.app.alerts.last_look()
    if last is None:
        say("nobody has looked for alerts yet: start a worker, or perdure supervisor", err=True)
    elif last.age > STALE + context.app.settings.alerts.every:
        say(f"nobody has looked for {last.age:.0f} s: start a worker, or perdure supervisor", err=True, fg="red")
