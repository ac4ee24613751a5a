"""``perdure failover``: which member of each failover group serves, and operators' switches."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from perdure.errors import InvalidArguments
from perdure.resilience.failover.group import FailoverGroup, FailoverSnapshot
from perdure.system.who import whoami
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import ago, json_option, print_json, print_table, say, show

_COLUMNS = {
    "when": lambda record: ago(datetime.fromtimestamp(record.at, UTC)),
    "from": lambda record: record.from_member,
    "to": lambda record: record.to_member,
    "why": lambda record: record.reason,
    "by": lambda record: record.by,
}


@click.group()
def failover() -> None:
    """Look at failover groups and switch their members."""


@failover.command("list")
@json_option
@pass_context
def list_groups(context: Context, as_json: bool) -> None:
    """List the groups of the settings and of the application."""
    found = [group.snapshot() for group in context.app.failover.values()]
    if as_json:
        print_json(found)
        return
    print_table(["group", "current", "since", "switches", "members"], (_row(each) for each in found))


@failover.command()
@click.argument("group")
@json_option
@pass_context
def history(context: Context, group: str, as_json: bool) -> None:
    """List a group's switches, newest first."""
    show(as_json, _group(context, group).records(), _COLUMNS)


@failover.command()
@click.argument("group")
@json_option
@pass_context
def check(context: Context, group: str, as_json: bool) -> None:
    """Run a group's health checks now, and switch if they say so."""
    found = _group(context, group).check()
    if as_json:
        print_json(found)
    else:
        print_table(["member", "found"], ([name, "healthy" if well else "not healthy"] for name, well in found.items()))


@failover.command()
@click.argument("group")
@click.argument("member")
@click.option("--reason", default="promoted by hand", help="Why; shown to others.")
@json_option
@pass_context
def promote(context: Context, group: str, member: str, reason: str, as_json: bool) -> None:
    """Make a member the current one. A healthy preferred one takes over again after a while."""
    found = _group(context, group)
    try:
        found.promote(member, reason=reason, by=f"cli:{whoami()}")
    except KeyError as error:
        raise InvalidArguments(str(error.args[0])) from None
    if as_json:
        print_json(found.snapshot())
    else:
        say(f"{group} is served by {member}")


def _group(context: Context, name: str) -> FailoverGroup[Any]:
    try:
        return context.app.failover[name]
    except KeyError as error:
        raise InvalidArguments(str(error.args[0])) from None


def _row(each: FailoverSnapshot) -> list[Any]:
    since = datetime.fromtimestamp(each.since, UTC) if each.since is not None else None
    members = ", ".join(name if each.healthy[name] else f"{name} (failed)" for name in each.members)
    return [each.name, each.current, ago(since), each.epoch, members]
