"""``perdure groups``: primary-backup groups, and who is primary."""

from __future__ import annotations

from typing import Any

import click
from msgspec.structs import asdict

from perdure.errors import InvalidArguments, did_you_mean
from perdure.manage.primary_backup import GroupSnapshot, PrimaryBackup
from perdure.system.who import whoami
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import ago, json_option, print_json, print_table, say, show


@click.group()
def groups() -> None:
    """Look at groups of a primary and its backups, and promote a backup."""


@groups.command("list")
@json_option
@pass_context
def list_groups(context: Context, as_json: bool) -> None:
    """List the groups: the primary, its epoch, and how far each member has come."""
    found = [group.snapshot() for _, group in sorted(context.app.groups.items())]
    columns = {
        "group": lambda group: group.name,
        "primary": lambda group: group.primary,
        "epoch": lambda group: group.epoch,
        "operations": lambda group: group.sequence,
        "members": _members,
        "promoted by": lambda group: group.promoted_by or "",
        "reason": lambda group: group.reason or "",
    }
    show(as_json, found, columns)


@groups.command("show")
@click.argument("name")
@json_option
@pass_context
def show_group(context: Context, name: str, as_json: bool) -> None:
    """Show a group and the changes of its primary, the newest first."""
    group = _named(context, name)
    snapshot, promotions = group.snapshot(), group.promotions()
    if as_json:
        print_json(asdict(snapshot) | {"promotions": promotions})
        return
    print_table(
        ("member", "role", "applied", "failures in a row"),
        (
            (member, "primary" if member == snapshot.primary else "backup", f"{at} of {snapshot.sequence}", failures)
            for member, at, failures in _each_member(snapshot)
        ),
        title=f"{name}, epoch {snapshot.epoch}",
    )
    rows = ((each.epoch, f"{each.before} -> {each.primary}", each.by, ago(each.at), each.reason) for each in promotions)
    print_table(("epoch", "primary", "by", "when", "reason"), rows, title="promotions")


@groups.command()
@click.argument("name")
@click.argument("member", required=False)
@click.option("--reason", required=True, help="Why; shown to others.")
@json_option
@pass_context
def promote(context: Context, name: str, member: str | None, reason: str, as_json: bool) -> None:
    """Make MEMBER the primary; by default the backup that has the most. The old primary writes nothing from then on."""
    group = _named(context, name)
    if member is not None and member not in (members := list(group.snapshot().applied)):
        raise InvalidArguments(
            f"group {name!r} has no member {member!r}.{did_you_mean(member, members)} Members: {', '.join(members)}"
        )
    promotion = group.promote(member, reason=reason, by=f"cli:{whoami()}")
    if as_json:
        print_json(promotion)
    else:
        say(f"{promotion.primary} is the primary of {name} from epoch {promotion.epoch} on")


def _named(context: Context, name: str) -> PrimaryBackup[Any]:
    known = context.app.groups
    if name not in known:
        listed = f"Groups: {', '.join(sorted(known))}" if known else "The application defines none"
        raise InvalidArguments(f"there is no group {name!r}.{did_you_mean(name, known)} {listed}")
    return known[name]


def _each_member(group: GroupSnapshot) -> list[tuple[str, int, int]]:
    return [(name, applied, group.failures[name]) for name, applied in group.applied.items()]


def _members(group: GroupSnapshot) -> str:
    return ", ".join(f"{name} {at}" + (f" (failed {times} x)" if times else "") for name, at, times in _each_member(group))
