"""``perdure dead``: dead letters."""

from __future__ import annotations

import dataclasses
import getpass
from typing import Any

import click

from perdure_workers.cli.jobs import _parsed
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import ago, json_option, print_json, print_table, show


@click.group()
def dead() -> None:
    """Find, understand and replay dead letters."""


@dead.command("list")
@click.option("--task", help="Only those of this task.")
@click.option("--error", help="Only those of this error type.")
@click.option("--fingerprint", help="Only those of this fault.")
@click.option("--status", type=click.Choice(["open", "replayed", "discarded"]), help="Only those in this status.")
@click.option("--limit", default=50, type=click.IntRange(1, 10_000), show_default=True)
@click.option("--after", help="The last id of the page before.")
@json_option
@pass_context
def list_letters(context: Context, /, as_json: bool, **filters: Any) -> None:
    """List dead letters, the newest first."""
    columns = {
        "id": lambda letter: letter.id,
        "task": lambda letter: letter.task,
        "reason": lambda letter: letter.reason,
        "error": lambda letter: f"{letter.error_type}: {(letter.error or '')[:60]}",
        "fingerprint": lambda letter: letter.fingerprint,
        "status": lambda letter: letter.status,
        "since": lambda letter: ago(letter.created_at),
    }
    show(as_json, context.app.dead_letters.list(**filters), columns)


@dead.command("groups")
@click.option("--limit", default=50, type=click.IntRange(1, 10_000), show_default=True)
@json_option
@pass_context
def list_groups(context: Context, limit: int, as_json: bool) -> None:
    """List the faults that letters died of, the most frequent first."""
    columns = {
        "fingerprint": lambda group: group.fingerprint,
        "count": lambda group: group.count,
        "open": lambda group: group.open,
        "task": lambda group: group.task,
        "error": lambda group: f"{group.error_type}: {(group.error or '')[:60]}",
        "first seen": lambda group: ago(group.first_seen),
        "last seen": lambda group: ago(group.last_seen),
    }
    show(as_json, context.app.dead_letters.groups(limit), columns)


@dead.command("show")
@click.argument("letter_id")
@json_option
@pass_context
def show_letter(context: Context, letter_id: str, as_json: bool) -> None:
    """Show a dead letter with its arguments, error, traceback and attempts."""
    letter = context.app.dead_letters.get(letter_id)
    attempts = context.app.ledger.attempts(letter.job_id) if letter.job_id else []
    if as_json:
        print_json(dataclasses.asdict(letter) | {"attempts": [dataclasses.asdict(attempt) for attempt in attempts]})
        return
    print_table(("", ""), ((k, v) for k, v in dataclasses.asdict(letter).items() if v is not None and k != "traceback"))
    columns = ("number", "outcome", "worker", "started_at", "finished_at", "error_type", "error")
    print_table(columns, ([getattr(attempt, name) for name in columns] for attempt in attempts), title="attempts")
    click.echo(letter.traceback or "")


@dead.command("replay")
@click.argument("letter_ids", nargs=-1, required=True)
@click.option("--args", "args_json", help="Positional arguments in place of the letter's, a JSON array.")
@click.option("--kwargs", "kwargs_json", help="Keyword arguments in place of the letter's, a JSON object.")
@click.option("--force", is_flag=True, help="Make a new job even if it was replayed before.")
@json_option
@pass_context
def replay_letters(
    context: Context,
    letter_ids: tuple[str, ...],
    args_json: str | None,
    kwargs_json: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Run dead letters again, each as a new job."""
    args = None if args_json is None else _parsed("--args", args_json, list)
    kwargs = None if kwargs_json is None else _parsed("--kwargs", kwargs_json, dict)
    replayed = []
    for letter_id in letter_ids:
        handle = context.app.dead_letters.replay(letter_id, args, kwargs, by=_who(), force=force)
        replayed.append({"dead_letter": letter_id, "job": handle.id, "replayed_before": handle.deduplicated})
    if as_json:
        print_json(replayed)
        return
    for row in replayed:
        click.echo(f"{row['dead_letter']} -> job {row['job']}{' (replayed before)' if row['replayed_before'] else ''}")


@dead.command("discard")
@click.argument("letter_id")
@click.option("--reason", required=True, help="Why it is not to be replayed.")
@json_option
@pass_context
def discard_letter(context: Context, letter_id: str, reason: str, as_json: bool) -> None:
    """Mark a dead letter as not to be replayed."""
    letter = context.app.dead_letters.discard(letter_id, reason, by=_who())
    if as_json:
        print_json(dataclasses.asdict(letter))
    else:
        click.echo(f"{letter_id} {letter.status}")


def _who() -> str:
    return f"cli:{getpass.getuser()}"
