"""``perdure schedules``: periodic jobs, paused, run once, and made up for."""

from __future__ import annotations

from typing import Any

import click

from perdure.manage.schedules import LAST, ScheduleState
from perdure.model.masking import mask_call
from perdure.model.moments import UNDERSTOOD, moment
from perdure.model.text.safe import one_line
from perdure.system.who import whoami
from perdure_workers.cli.asking import ask, yes_option
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import ago, json_option, print_json, print_table, say
from perdure_workers.cli.progress import progress
from perdure_workers.shared.counted import many


@click.group()
def schedules() -> None:
    """Look at periodic jobs, pause and resume them, run one now, make up for missed ticks."""


@schedules.command("list")
@json_option
@pass_context
def list_schedules(context: Context, as_json: bool) -> None:
    """List the schedules of this application with their last and next ticks."""
    app = context.app
    states = app.schedules.states()
    if as_json:
        print_json([_plain(app.tasks.get(one.schedule.task), one) for one in states])
        return
    rows = [(one.schedule.name, one.schedule.when, _last(one), _next(one)) for one in states]
    print_table(("name", "when", "last", "next"), rows)
    if not rows:
        say("this application has no periodic jobs", err=True)


@schedules.command()
@click.argument("name")
@click.option("--reason", default="", help="Why; shown to others.")
@json_option
@pass_context
def pause(context: Context, name: str, reason: str, as_json: bool) -> None:
    """Let the ticks of schedule NAME pass until it is resumed."""
    context.app.schedules.pause(name, by=f"cli:{whoami()}", reason=reason)
    _tell({"name": name, "paused": True}, f"{name} paused. Resume it with: perdure schedules resume {name}", as_json)


@schedules.command()
@click.argument("name")
@json_option
@pass_context
def resume(context: Context, name: str, as_json: bool) -> None:
    """Let a paused schedule run again from its next tick on. What it missed is made up for by backfill only."""
    resumed = context.app.schedules.resume(name)
    _tell({"name": name, "paused": False}, f"{name} {'resumed' if resumed else 'was not paused'}", as_json)


@schedules.command()
@click.argument("name")
@json_option
@pass_context
def trigger(context: Context, name: str, as_json: bool) -> None:
    """Run the task of schedule NAME once now, besides its ticks."""
    job = context.app.schedules.trigger(name, by=f"cli:{whoami()}")
    _tell({"name": name, "job": job.id}, job.id, as_json)


@schedules.command()
@click.argument("name")
@click.option("--from", "since", required=True, help=f"The first moment: {UNDERSTOOD}.")
@click.option("--to", "until", default="now", show_default=True, help="The first moment after it; the same forms.")
@click.option(
    "--priority", type=click.IntRange(0, 9), default=LAST, show_default=True, help="Of the jobs; 9 runs behind all others."
)
@click.option("--dry-run", is_flag=True, help="Say how many jobs that would be, and do nothing.")
@yes_option
@json_option
@pass_context
def backfill(
    context: Context, name: str, since: str, until: str, priority: int, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Submit a job for each tick of schedule NAME, from a moment on, that has none.

    Each tick gets one job, however often this is called. The job finds its tick in ctx.tick.
    """
    all_schedules = context.app.schedules
    stretch = moment("--from", since), moment("--to", until)
    plan = all_schedules.plan(name, *stretch)
    count, facts = len(plan.ticks), {"missed": len(plan.ticks), "have_jobs": plan.have_jobs, "forgotten": plan.forgotten}
    if not as_json:
        say(f"{count} ticks of {name} have no job, {plan.have_jobs} have one.")
    if plan.forgotten and not as_json:
        say(f"{plan.forgotten} are so old that their jobs would be forgotten by now: they may have run.", fg="yellow")
    if dry_run or not count:
        if as_json:
            print_json({"name": name, "submitted": 0, **facts})
        return
    ask(f"Submit {many(count, 'job')} of {one_line(name)}?", yes=yes)
    with progress() as bars:
        bar = bars.add_task("submitting", total=count)
        done = all_schedules.backfill(name, *stretch, priority=priority, on_batch=lambda made: bars.advance(bar, made))
    _tell({"name": name, "submitted": done, **facts}, f"{many(done, 'job')} submitted", as_json)


def _tell(facts: dict[str, Any], text: str, as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        say(text)


def _last(one: ScheduleState) -> str:
    if one.last is None:
        return "no supervisor has seen it"
    if one.last.job_id is None:
        return f"none since {one.last.at:%Y-%m-%d %H:%M:%S}"
    return f"{ago(one.last.at)}, {one.last.state or 'deleted'}"


def _next(one: ScheduleState) -> str:
    if one.pause is not None:
        why = f": {one.pause.reason}" if one.pause.reason else ""
        return f"paused {ago(one.pause.at)} by {one.pause.by}{why}"
    return ", ".join(f"{tick:%Y-%m-%d %H:%M:%S}" for tick in one.following[:1])


def _plain(task: Any, one: ScheduleState) -> dict[str, Any]:
    schedule = one.schedule
    args, kwargs = mask_call(task, list(schedule.args), schedule.kwargs)
    return {
        "name": schedule.name,
        "task": schedule.task,
        "when": schedule.when,
        "missed": schedule.missed,
        "args": args,
        "kwargs": kwargs,
        "last": one.last,
        "paused": one.pause,
        "next": one.following,
    }
