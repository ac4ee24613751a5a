"""``perdure dead list|groups|show|audit``: finding and understanding dead letters."""

from __future__ import annotations

from typing import Any

import click
from msgspec.structs import asdict

from perdure.manage.masked import masked_detail, masked_letter
from perdure.model.dead_letter import DeadLetterDetail, DeadLetterGroup
from perdure.model.text.cut import cut
from perdure.model.text.error_names import short_name
from perdure.model.text.folding import folded
from perdure_workers.cli.dead.filters import filters_of, where_option
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.log_lines import print_log
from perdure_workers.cli.output import ago, json_option, print_json, print_table, rows_of, say, say_lines, show
from perdure_workers.shared.counted import many

#: The steps of a trend, from no letter to the busiest part of the day, and the hours of a part.
_BARS = "·▁▂▃▄▅▆▇█"
_PART = 3
_TEXT = 60

limit_option = click.option("--limit", default=50, type=click.IntRange(1, 10_000), show_default=True)


@click.command("list")
@where_option
@click.option("--task", help="Only those of this task.")
@click.option("--error", help="Only those of this error type.")
@click.option("--fingerprint", help="Only those of this fault.")
@click.option("--status", type=click.Choice(["open", "replayed", "discarded"]), help="Only those in this status.")
@click.option("--after", help="The last id of the page before.")
@limit_option
@json_option
@pass_context
def list_letters(
    context: Context, /, where: tuple[str, ...], limit: int, after: str | None, as_json: bool, **named: str | None
) -> None:
    """List dead letters, the newest first."""
    columns = {
        "id": lambda letter: letter.id,
        "task": lambda letter: letter.task,
        "reason": lambda letter: letter.reason,
        "error": lambda letter: _error(letter.error_type, letter.error),
        "fingerprint": lambda letter: letter.fingerprint,
        "status": lambda letter: letter.status,
        "since": lambda letter: ago(letter.created_at),
    }
    app = context.app
    after = app.dead_letters.find(after).id if after else None
    letters = app.dead_letters.list(limit=limit, after=after, **filters_of(where, **named))
    show(as_json, [masked_letter(app.tasks.get(letter.task), letter) for letter in letters], columns)


@click.command("groups")
@click.option("--task", help="Only faults that were seen last in this task.")
@click.option("--error", help="Only those of this error type.")
@click.option("--open", "open_only", is_flag=True, help="Only those with open letters.")
@click.option("--order", type=click.Choice(["count", "last_seen", "first_seen"]), default="count", show_default=True)
@limit_option
@json_option
@pass_context
def groups(context: Context, /, limit: int, as_json: bool, **how: Any) -> None:
    """List the faults that letters died of, the most frequent first."""
    columns = {
        "fingerprint": lambda group: group.fingerprint,
        "count": lambda group: group.count,
        "open": lambda group: group.open,
        "task": lambda group: group.task,
        "error": lambda group: _error(group.error_type, group.error),
        "first seen": lambda group: ago(group.first_seen),
        "last seen": lambda group: ago(group.last_seen),
        "last 24 h": _trend,
        "back with": lambda group: group.regressed_in,
        "note": lambda group: group.note,
    }
    show(as_json, context.app.dead_letters.groups(limit, **how), columns)


@click.command("show")
@click.argument("letter_id")
@click.option("--secrets", is_flag=True, help="Show arguments that are masked otherwise.")
@json_option
@pass_context
def show_letter(context: Context, letter_id: str, secrets: bool, as_json: bool) -> None:
    """Show a dead letter: arguments, error, attempts, checkpoints, replays, what was done with it."""
    detail = context.app.dead_letters.show(context.app.dead_letters.find(letter_id).id)
    if not secrets:
        detail = masked_detail(context.app.tasks.get(detail.letter.task), detail)
    if as_json:
        rest = {name: value for name, value in asdict(detail).items() if name != "letter"}
        print_json(asdict(detail.letter) | rest)
    else:
        _print(detail)


@click.command("audit")
@click.option("--letter", "letter_id", help="Only what was done to this letter.")
@click.option("--fingerprint", help="Only what was done to letters of this fault.")
@click.option("--after", help="The id of the last entry of the page before.")
@limit_option
@json_option
@pass_context
def audit(context: Context, /, as_json: bool, **which: Any) -> None:
    """List who did what to dead letters, the newest first."""
    columns = {
        "at": lambda entry: entry.at,
        "who": lambda entry: entry.who,
        "from": lambda entry: entry.source,
        "action": lambda entry: entry.action,
        "letter": lambda entry: entry.letter_id,
        "job": lambda entry: entry.job_id,
        "detail": lambda entry: entry.detail,
    }
    letters = context.app.dead_letters
    if which["letter_id"]:
        which["letter_id"] = letters.find(which["letter_id"]).id
    show(as_json, letters.audit(**which), columns)


def _print(detail: DeadLetterDetail) -> None:
    letter = asdict(detail.letter)
    letter["error_type"] = short_name(letter["error_type"] or "")
    facts = ((name, value) for name, value in letter.items() if value not in (None, {}, "") and name != "traceback")
    print_table(("", ""), facts, title=f"dead letter {detail.letter.id}")
    columns = ("number", "outcome", "worker", "started_at", "finished_at", "error_type", "error")
    print_table(columns, rows_of(detail.attempts, columns), title="attempts")
    if detail.checkpoints:
        names = list(detail.checkpoints[0])
        print_table(names, ([each[name] for name in names] for each in detail.checkpoints), title="checkpoints")
    if len(detail.lineage) > 1:
        rows = (
            (entry.generation, entry.job_id, entry.state, entry.letter_id, entry.replayed_by) for entry in detail.lineage
        )
        print_table(("generation", "job", "state", "dead letter", "replayed by"), rows, title="line of replays")
    if detail.audit:
        done = ((entry.at, entry.who, entry.action, entry.detail) for entry in detail.audit)
        print_table(("at", "who", "action", "detail"), done, title="what was done")
    if detail.group is not None:
        group = detail.group
        say(f"This fault: {many(group.count, 'letter')}, {group.open} open. {group.note or ''}".rstrip())
    say_lines(folded(detail.letter.traceback or ""))
    if detail.log:
        say("The last that it said:")
        print_log(detail.log)


def _error(kind: str | None, text: str | None) -> str:
    return ": ".join(part for part in (short_name(kind or ""), cut(text or "", _TEXT)) if part)


def _trend(group: DeadLetterGroup) -> str:
    parts = [sum(group.trend[start : start + _PART]) for start in range(0, len(group.trend), _PART)]
    most = max(parts, default=0)
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // most)] for count in parts) if most else ""
