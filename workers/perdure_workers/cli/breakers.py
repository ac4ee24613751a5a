"""``perdure breakers``: what the circuit breakers do, and operators' overrides."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from perdure.resilience.breaker.events import BreakerSnapshot
from perdure.system.who import whoami
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import ago, json_option, print_json, print_table, say
from perdure_workers.shared.named_breakers import breaker_names, named_breaker

#: Seconds for which an override holds when nothing is said: a forgotten one must not decide for ever.
DEFAULT_LASTS = 3600.0

_lasts = click.option(
    "--for",
    "lasts",
    type=click.FloatRange(min=0, min_open=True),
    default=DEFAULT_LASTS,
    show_default=True,
    help="Seconds.",
)
_reason = click.option("--reason", default="", help="Why; shown to others.")
_create = click.option("--create", is_flag=True, help="Also a breaker that nobody has configured, named or used yet.")


@click.group()
def breakers() -> None:
    """Look at circuit breakers, open, close and reset them."""


@breakers.command("list")
@json_option
@pass_context
def list_breakers(context: Context, as_json: bool) -> None:
    """List the breakers that are configured, that tasks name, or that any process has used."""
    app = context.app
    found = [app.breakers[name].snapshot() for name in sorted(breaker_names(app))]
    if as_json:
        print_json(found)
        return
    print_table(["breaker", "state", "since", "next try", "failed", "override", "reason"], (_row(each) for each in found))


@breakers.command("open")
@click.argument("name")
@_lasts
@_reason
@_create
@json_option
@pass_context
def open_breaker(context: Context, name: str, lasts: float, reason: str, create: bool, as_json: bool) -> None:
    """Let no call through for a while; then a trial call decides."""
    named_breaker(context.app, name, create=create).force_open(reason=reason or "forced open", by=_me(), lasts=lasts)
    _tell(context, name, as_json)


@breakers.command("close")
@click.argument("name")
@_lasts
@_reason
@_create
@json_option
@pass_context
def close_breaker(context: Context, name: str, lasts: float, reason: str, create: bool, as_json: bool) -> None:
    """Let all calls through for a while, whatever they do."""
    named_breaker(context.app, name, create=create).force_closed(reason=reason or "forced closed", by=_me(), lasts=lasts)
    _tell(context, name, as_json)


@breakers.command()
@click.argument("name")
@_reason
@json_option
@pass_context
def reset(context: Context, name: str, reason: str, as_json: bool) -> None:
    """Close a breaker, and forget its counts and any override."""
    named_breaker(context.app, name).reset(reason=reason or "reset", by=_me())
    _tell(context, name, as_json)


def _tell(context: Context, name: str, as_json: bool) -> None:
    snapshot = context.app.breakers[name].snapshot()
    if as_json:
        print_json(snapshot)
    else:
        say(f"{name} is {snapshot.state}")


def _row(each: BreakerSnapshot) -> list[Any]:
    override = f"{each.override.kind} by {each.override.by}" if each.override else ""
    since = datetime.fromtimestamp(each.since, UTC) if each.since is not None else None
    wait = f"{each.next_probe_in:.1f} s" if each.next_probe_in else ""
    failed = f"{each.window_failures}/{each.window_calls}"
    return [each.name, each.state.value, ago(since), wait, failed, override, each.reason]


def _me() -> str:
    return f"cli:{whoami()}"
