"""``perdure dead discard|reopen|note|purge``: what is not replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from perdure import Perdure
from perdure.errors import InvalidArguments
from perdure.manage.masked import masked_letter
from perdure.model.dead_letter import DISCARDED
from perdure.model.records import DeadLetterRecord
from perdure_workers.cli.asking import ask, yes_option
from perdure_workers.cli.dead.filters import filters_of, where_option, who
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import json_option, print_json, say
from perdure_workers.cli.progress import progress
from perdure_workers.shared.counted import many


@click.command("discard")
@click.argument("letter_ids", nargs=-1)
@where_option
@click.option("--reason", required=True, help="Why they are not to be replayed.")
@yes_option
@json_option
@pass_context
def discard(
    context: Context, letter_ids: tuple[str, ...], where: tuple[str, ...], reason: str, yes: bool, as_json: bool
) -> None:
    """Mark dead letters as not to be replayed; they stay until they are purged."""
    letters = context.app.dead_letters
    if bool(where) == bool(letter_ids):
        raise click.UsageError("name LETTER_IDS, or say which open letters by --where")
    if letter_ids:
        found = [letters.find(text).id for text in letter_ids]
        discarded = [letters.discard(letter_id, reason, **who()) for letter_id in found]
        _print_letters(context.app, discarded, as_json)
        return
    which = {"status": "open", **filters_of(where)}
    count = letters.count(**which)
    ask(f"Discard {many(count, 'dead letter')}?", yes=yes)
    with _progress("discarding", count) as on_batch:
        done = letters.discard_many(reason, on_batch=on_batch, **which, **who())
    _print_count("discarded", done, as_json)


@click.command("reopen")
@click.argument("letter_ids", nargs=-1)
@where_option
@click.option("--all", "everything", is_flag=True, help="All discarded letters.")
@yes_option
@json_option
@pass_context
def reopen(
    context: Context, letter_ids: tuple[str, ...], where: tuple[str, ...], everything: bool, yes: bool, as_json: bool
) -> None:
    """Take a discard back: the letters are again what they were before, as a rule open."""
    letters = context.app.dead_letters
    if (bool(where) or everything) == bool(letter_ids):
        raise click.UsageError("name LETTER_IDS, or say which discarded letters by --where or --all")
    if letter_ids:
        # All are found before the first one is reopened: a misspelt id is no half of a command.
        found = [letters.find(text) for text in letter_ids]
        if kept := [letter for letter in found if letter.status != DISCARDED]:
            raise InvalidArguments(f"dead letter {kept[0].id} is {kept[0].status}; only a discarded one can be reopened")
        _print_letters(context.app, [letters.reopen(letter.id, **who()) for letter in found], as_json)
        return
    which = {**filters_of(where), "status": DISCARDED}
    count = letters.count(**which)
    ask(f"Reopen {many(count, 'dead letter')}?", yes=yes)
    with _progress("reopening", count) as on_batch:
        done = letters.reopen_many(on_batch=on_batch, **which, **who())
    _print_count("reopened", done, as_json)


@click.command("note")
@click.argument("letter_id_or_fingerprint")
@click.argument("text", required=False)
@click.option("--group", is_flag=True, help="Write it on the whole fault of this fingerprint.")
@click.option("--remove", is_flag=True, help="Remove the note.")
@json_option
@pass_context
def note(
    context: Context, letter_id_or_fingerprint: str, text: str | None, group: bool, remove: bool, as_json: bool
) -> None:
    """Write a note on a dead letter or, with --group, on a fault, such as "known, fixed in 1.4"."""
    if remove == (text is not None):
        raise click.UsageError("give the TEXT of the note, or --remove")
    letters = context.app.dead_letters
    noted: Any
    if group:
        noted = letters.note_group(letter_id_or_fingerprint, text, **who())
    else:
        letter = letters.note(letters.find(letter_id_or_fingerprint).id, text, **who())
        noted = masked_letter(context.app.tasks.get(letter.task), letter)
    if as_json:
        print_json(noted)
    else:
        say(f"{letter_id_or_fingerprint}: {text or 'note removed'}")


@click.command("purge")
@where_option
@click.option("--all", "everything", is_flag=True, help="All that were replayed or discarded.")
@yes_option
@json_option
@pass_context
def purge(context: Context, where: tuple[str, ...], everything: bool, yes: bool, as_json: bool) -> None:
    """Delete dead letters for good. Open ones only when --where status=open says so."""
    if bool(where) == everything:
        raise click.UsageError("say which letters by --where, or --all")
    letters, which = context.app.dead_letters, filters_of(where)
    statuses = [which["status"]] if "status" in which else ["replayed", "discarded"]
    count = sum(letters.count(**{**which, "status": status}) for status in statuses)
    ask(f"Delete {many(count, 'dead letter')} for good?", yes=yes)
    with _progress("deleting", count) as on_batch:
        done = letters.purge(everything=everything, on_batch=on_batch, **which, **who())
    _print_count("deleted", done, as_json)


def _print_letters(app: Perdure, letters: list[DeadLetterRecord], as_json: bool) -> None:
    if as_json:
        print_json([masked_letter(app.tasks.get(letter.task), letter) for letter in letters])
        return
    for letter in letters:
        say(f"{letter.id} {letter.status}")


@contextmanager
def _progress(what: str, count: int) -> Iterator[Callable[[int], None]]:
    with progress() as bars:
        bar = bars.add_task(what, total=count)
        yield lambda done: bars.advance(bar, done)


def _print_count(what: str, count: int, as_json: bool) -> None:
    if as_json:
        print_json({what: count})
    else:
        say(f"{count} {what}")
