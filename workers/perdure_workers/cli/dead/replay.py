"""``perdure dead replay``: one, several, or all that a filter means."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import click

from perdure import JobHandle, Perdure
from perdure.errors import JobCancelled, JobDead
from perdure.manage.dead_letters.bulk_replay import ReplayReport
from perdure.manage.dead_letters.replay_plan import ReplayPlan
from perdure.model.text.safe import one_line
from perdure_workers.cli.asking import ask, yes_option
from perdure_workers.cli.dead.filters import filters_of, where_option, who
from perdure_workers.cli.jobs import parsed, wait_and_exit
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import json_option, print_json, print_table, say
from perdure_workers.cli.progress import progress
from perdure_workers.shared.counted import many

#: Seconds between two looks at a bulk replay.
_LOOK = 0.3
#: Options that only a bulk replay has.
_BULK = ("rate", "canary", "max_failure_rate", "dry_run", "wait")


@click.command("replay")
@click.argument("letter_ids", nargs=-1)
@where_option
@click.option("--all", "everything", is_flag=True, help="All open letters.")
@click.option("--args", "args_json", help="Positional arguments in place of the letter's, a JSON array.")
@click.option("--kwargs", "kwargs_json", help="Keyword arguments in place of the letter's, a JSON object.")
@click.option("--bulkhead", help="Run them on this bulkhead.")
@click.option("--from-checkpoint", is_flag=True, help="Begin at the checkpoint that the dead job had reached.")
@click.option("--force", is_flag=True, help="Also what was replayed or discarded, or has an open circuit breaker.")
@click.option("--rate", help="Bulk: letters per time, such as 50/s or 10/m.")
@click.option("--canary", type=click.IntRange(0), default=0, help="Bulk: so many first, the rest when these succeed.")
@click.option("--max-failure-rate", type=click.FloatRange(0, 1), help="Bulk: halt when a larger share fails.")
@click.option("--dry-run", is_flag=True, help="Bulk: say what would happen, and do nothing.")
@click.option("--wait", is_flag=True, help="Bulk: wait for its end and show its progress.")
@yes_option
@json_option
@pass_context
def replay(
    context: Context,
    /,
    letter_ids: tuple[str, ...],
    where: tuple[str, ...],
    everything: bool,
    args_json: str | None,
    kwargs_json: str | None,
    as_json: bool,
    **how: Any,
) -> None:
    """Run dead letters again, each as a new job.

    Name letters, or say which by --where or --all: then a durable job replays them, which `perdure worker background`
    runs, and which goes on where it was if it is killed.
    """
    bulk = bool(where) or everything
    if bulk == bool(letter_ids):
        raise click.UsageError("name LETTER_IDS, or say which letters by --where or --all")
    if bulk:
        if args_json is not None or kwargs_json is not None:
            raise click.UsageError("--args and --kwargs are for a letter that is named by its id")
        _replay_many(context.app, filters_of(where), how, as_json)
        return
    if given := [name for name in _BULK if how.pop(name)]:
        raise click.UsageError(f"--{given[0].replace('_', '-')} goes with --where or --all")
    if (args_json or kwargs_json) and len(letter_ids) > 1:
        raise click.UsageError("--args and --kwargs go with one letter")
    how.pop("yes")
    how["args"] = None if args_json is None else parsed("--args", args_json, list)
    how["kwargs"] = None if kwargs_json is None else parsed("--kwargs", kwargs_json, dict)
    _replay_each(context.app, letter_ids, how, as_json)


def _replay_each(app: Perdure, letter_ids: tuple[str, ...], how: dict[str, Any], as_json: bool) -> None:
    replayed = []
    # All are found before the first one is replayed: a misspelt id is no half of a command.
    for letter_id in [app.dead_letters.find(text).id for text in letter_ids]:
        handle = app.dead_letters.replay(letter_id, **how, **who())
        replayed.append({"dead_letter": letter_id, "job": handle.id, "replayed_before": handle.deduplicated})
        if not as_json:
            before = " (replayed before)" if handle.deduplicated else ""
            say(f"{letter_id} -> job {handle.id}{before}")
    if as_json:
        print_json(replayed)


def _replay_many(app: Perdure, which: dict[str, Any], how: dict[str, Any], as_json: bool) -> None:
    dry_run, wait, yes = how.pop("dry_run"), how.pop("wait"), how.pop("yes")
    request = {**which, **how, "to_bulkhead": how["bulkhead"]}
    if "bulkhead" in which:
        request["bulkhead"] = which["bulkhead"]
    else:
        del request["bulkhead"]
    plan: ReplayPlan = app.dead_letters.replay_many(dry_run=True, **request)
    if dry_run:
        print_json(plan) if as_json else _print_plan(plan)
        return
    ask(f"Replay {many(plan.count, 'dead letter')}?", yes=yes)
    job: JobHandle[ReplayReport] = app.dead_letters.replay_many(**request, **who())
    if wait:
        _watch(job, plan.count)
        wait_and_exit(app, job, None, as_json)
    elif as_json:
        print_json({"job": job.id, "letters": plan.count})
    else:
        say(f"Job {job.id} replays {many(plan.count, 'letter')}. Follow it: perdure jobs wait {job.id}")


def _watch(job: JobHandle[ReplayReport], count: int) -> None:
    with progress() as bars:
        bar = bars.add_task("replaying", total=count)

        while not job.refresh().record.state.is_final:
            with suppress(TimeoutError, JobDead, JobCancelled):  # how it ended is told by who waits for it next
                job.wait(_LOOK)
            if (done := job.record.progress) is not None:
                bars.update(bar, completed=done.done, description=one_line(done.message or "replaying"))


def _print_plan(plan: ReplayPlan) -> None:
    say(f"{many(plan.count, 'letter')} would be replayed, in about {plan.estimated_seconds:g} s.")
    if plan.checked < plan.count:
        say(f"The oldest {plan.checked} were checked one by one:")
    print_table(("task", "letters"), plan.by_task.items())
    if plan.does_not_fit:
        say(f"{plan.does_not_fit} do not fit what the application has now and would be left as they are:")
        print_table(("letter", "why"), ((each["letter_id"], each["why"]) for each in plan.examples))
    for name, is_open in plan.breakers.items():
        say(f"circuit breaker {name}: {'open' if is_open else 'closed'}")
    if plan.breaker_open:
        say(f"{plan.breaker_open} would be left as they are, because their circuit breaker is open (--force).")
