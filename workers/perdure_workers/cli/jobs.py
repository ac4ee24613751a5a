"""``perdure submit`` and ``perdure jobs``."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import click
import msgspec
from msgspec.structs import asdict, replace

from perdure import JobHandle, Perdure
from perdure.errors import InvalidArguments, JobCancelled, JobDead, JobNotFinished, NotStarted
from perdure.manage.dead_letters.halted import halted
from perdure.manage.jobs import as_tag
from perdure.manage.masked import masked_attempt, masked_job
from perdure.model.codec import codec
from perdure.model.job_log import LogLine
from perdure.model.masking import Masker, masker
from perdure.model.moments import UNDERSTOOD
from perdure.model.records import JobRecord
from perdure.model.text.cut import cut
from perdure.model.text.error_names import short_name
from perdure.settings.home import never_started
from perdure.settings.settings import Settings
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.log_lines import print_log
from perdure_workers.cli.output import (
    Exit,
    ago,
    json_lines_option,
    json_option,
    print_json,
    print_json_line,
    print_table,
    rows_of,
    say,
    show,
)
from perdure_workers.facts.job_facts import task_of

#: Seconds between two looks at what a job says.
_FOLLOW = 0.5
#: Jobs that are read at once when their cancel is taken back.
_PAGE = 500


@click.command()
@click.argument("task")
@click.option("--args", "args_json", default="[]", help="Positional arguments, a JSON array.")
@click.option("--kwargs", "kwargs_json", default="{}", help="Keyword arguments, a JSON object.")
@click.option("--key", help="Idempotency key.")
@click.option("--delay", type=float, help="Seconds to wait before it may run.")
@click.option("--priority", type=click.IntRange(0, 9), help="0 (first) to 9 (last).")
@click.option("--bulkhead", help="Where to run it.")
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="A tag; may be given several times.")
@click.option("--wait", is_flag=True, help="Wait for its end; the exit code says how it ended.")
@click.option("--timeout", type=float, help="Seconds to wait at most.")
@json_option
@pass_context
def submit(
    context: Context,
    task: str,
    args_json: str,
    kwargs_json: str,
    key: str | None,
    delay: float | None,
    priority: int | None,
    bulkhead: str | None,
    tags: tuple[str, ...],
    wait: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Submit a job of TASK."""
    args, kwargs = parsed("--args", args_json, list), parsed("--kwargs", kwargs_json, dict)
    named = {"idempotency_key": key, "delay": delay, "priority": priority, "bulkhead": bulkhead}
    options: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    app = context.app
    _refuse_unserved(app.settings)
    submission = app.task(task).options(**options, tags=dict(as_tag(tag) for tag in tags))
    typed_args, typed_kwargs = app.task(task).signature.typed(args, kwargs, typed_in=True)
    handle = submission.submit(*typed_args, **typed_kwargs)
    if wait:
        wait_and_exit(app, handle, timeout, as_json)
    elif as_json:
        print_json({"id": handle.id, "deduplicated": handle.deduplicated})
    else:
        say(f"{handle.id}{' (submitted before)' if handle.deduplicated else ''}")


def _refuse_unserved(settings: Settings) -> None:
    """Refuse to submit into a new home folder that nobody named: by mistake, as a rule, from another folder."""
    home = settings.home_folder
    if settings.is_embedded and not home.was_started and settings.home is None:
        raise NotStarted(never_started(home.path))


@click.group()
def jobs() -> None:
    """Look at jobs, cancel them, and take that back."""


@jobs.command("list")
@click.option("--state", help="Only jobs in this state.")
@click.option("--task", help="Only jobs of this task.")
@click.option("--bulkhead", help="Only jobs on this bulkhead.")
@click.option("--tag", help="Only jobs with this tag, NAME=VALUE.")
@click.option("--since", metavar="MOMENT", help=f"Only jobs submitted since then: {UNDERSTOOD}.")
@click.option("--until", metavar="MOMENT", help="Only jobs submitted before then.")
@click.option("--text", help="Only jobs in whose arguments or error this stands.")
@click.option("--limit", default=50, type=click.IntRange(1, 10_000), show_default=True)
@click.option("--after", help="The last id of the page before.")
@json_option
@pass_context
def list_jobs(context: Context, /, as_json: bool, **filters: Any) -> None:
    """List jobs, the newest first."""
    app = context.app
    filters["after"] = app.jobs.find(filters["after"]).id if filters["after"] else None
    records = [masked_job(task_of(app, handle.task), handle.record) for handle in app.jobs.list(**filters)]
    columns = {
        "id": lambda job: job.id,
        "task": lambda job: job.task,
        "bulkhead": lambda job: job.bulkhead,
        "state": lambda job: job.state,
        "attempt": lambda job: job.attempt,
        "submitted": lambda job: ago(job.created_at),
        "error": lambda job: cut(job.error or "", 60),
    }
    show(as_json, records, columns)


@jobs.command("show")
@click.argument("job_id")
@json_option
@pass_context
def show_job(context: Context, job_id: str, as_json: bool) -> None:
    """Show a job with its attempts, its checkpoint and progress, its durable steps and what happened to them."""
    handle, ledger = context.app.jobs.find(job_id), context.app.ledger
    job_id = handle.id
    record, mask = _masked(context.app, handle)
    more: dict[str, list[Any]] = {
        "attempts": [masked_attempt(attempt, mask) for attempt in handle.attempts()],
        "steps": [replace(step, name=mask.text(step.name)) for step in ledger.running.steps_of(job_id)],
        "notes": [replace(note, text=mask.text(note.text)) for note in ledger.jobs.notes_of(job_id)],
    }
    if as_json:
        rows = {name: [_shown(each) for each in found] for name, found in more.items()}
        print_json(asdict(record) | rows)
        return
    print_table(("", ""), _facts(record), title=f"job {job_id}")
    if (unfinished := halted(handle.record)) is not None:
        say(unfinished, fg="red")
    for title, columns in _PARTS.items():
        if more[title]:
            print_table(columns, rows_of(more[title], columns), title=title)


@jobs.command("logs")
@click.argument("job_id")
@click.option("-f", "--follow", is_flag=True, help="Go on with what it says next, until it ends.")
@json_lines_option
@pass_context
def job_logs(context: Context, job_id: str, follow: bool, as_json: bool) -> None:
    """Show what a job has said by ctx.log: the newest lines of all its attempts (see the setting job_log_lines)."""
    handle = context.app.jobs.find(job_id)
    _, mask = _masked(context.app, handle)
    after = (0, 0)
    while True:
        has_ended = not follow or handle.state.is_final
        for line in context.app.ledger.jobs.log_of(handle.id, handle.task, after):
            left_out = line.number - 1 - (after[1] if line.fence == after[0] else 0)
            _print_line(replace(line, text=mask.text(line.text)), left_out, as_json)
            after = (line.fence, line.number)
        if has_ended:
            break
        time.sleep(_FOLLOW)
    said_nothing = " and has said nothing by ctx.log" if after == (0, 0) else ""
    if not as_json and (follow or said_nothing):
        say(f"job {handle.id} is {handle.state}{said_nothing}", err=True)


@jobs.command("wait")
@click.argument("job_id")
@click.option("--timeout", type=float, help="Seconds to wait at most.")
@json_option
@pass_context
def wait_job(context: Context, job_id: str, timeout: float | None, as_json: bool) -> None:
    """Wait for a job's end. Exit code: 0 succeeded, 3 dead, 4 cancelled, 5 timed out, 6 a bulk replay that halted."""
    wait_and_exit(context.app, context.app.jobs.find(job_id), timeout, as_json)


@jobs.command("cancel")
@click.argument("job_id")
@click.option("--reason", default="cancelled from the command line", show_default=True)
@json_option
@pass_context
def cancel_job(context: Context, job_id: str, reason: str, as_json: bool) -> None:
    """Cancel a job: at once while it waits, at its next checkpoint while it runs."""
    handle = context.app.jobs.find(job_id)
    job_id = handle.id
    if not handle.cancel(reason):
        raise JobNotFinished(f"job {job_id} is {handle.state} already; there is nothing to cancel")
    if as_json:
        print_json({"id": job_id, "state": handle.state})
    else:
        say(f"{job_id} {handle.state}")


@jobs.command("restore")
@click.argument("job_ids", metavar="[JOB_ID]...", nargs=-1)
@click.option("--task", help="All cancelled jobs of this task.")
@click.option("--bulkhead", help="All cancelled jobs on this bulkhead.")
@click.option("--tag", help="All cancelled jobs with this tag, NAME=VALUE.")
@click.option("--since", metavar="MOMENT", help=f"All cancelled jobs submitted since then: {UNDERSTOOD}.")
@json_option
@pass_context
def restore_jobs(context: Context, /, job_ids: tuple[str, ...], as_json: bool, **filters: str | None) -> None:
    """Take the cancel of jobs back: they wait again, and go on from their checkpoints."""
    app, which = context.app, {name: value for name, value in filters.items() if value}
    if bool(job_ids) == bool(which):
        raise click.UsageError("name jobs, or say which by --task, --bulkhead, --tag or --since; not both")
    ids = (app.jobs.find(each).id for each in job_ids) if job_ids else _cancelled(app, which)
    restored = [job_id for job_id in ids if app.jobs.restore(job_id)]
    if job_ids and not restored:
        raise InvalidArguments("none of these jobs is cancelled; there is nothing to take back")
    if as_json:
        print_json({"restored": restored})
    else:
        say(f"{len(restored)} restored")


def _cancelled(app: Perdure, which: dict[str, Any]) -> Iterator[str]:
    """Yield the ids of cancelled jobs, page by page; those that were looked at are not met again."""
    after: str | None = None
    while page := app.jobs.list(**which, state="cancelled", limit=_PAGE, after=after):
        yield from (job.id for job in page)
        after = page[-1].id


@jobs.command("tasks")
@json_option
@pass_context
def list_tasks(context: Context, as_json: bool) -> None:
    """List the tasks that this application knows."""
    rows = [_task_row(context.app, name) for name in sorted(context.app.tasks)]
    if as_json:
        print_json(rows)
    else:
        print_table(list(rows[0]) if rows else ["name"], (list(row.values()) for row in rows))


def _print_line(line: LogLine, left_out: int, as_json: bool) -> None:
    if as_json:
        print_json_line(line)
        return
    print_log([line], left_out)


#: What is shown of a job besides its own facts.
_PARTS = {
    "attempts": ("number", "outcome", "worker", "started_at", "finished_at", "error_type", "error"),
    "steps": ("position", "name", "tries"),
    "notes": ("at", "kind", "text"),
}


def _shown(part: Any) -> dict[str, Any]:
    """Return a part's fields; a step's result may be sealed or large, and is the job's own business."""
    return {name: value for name, value in asdict(part).items() if name != "result"}


def _facts(record: JobRecord) -> Iterator[tuple[str, Any]]:
    for name, value in asdict(record).items():
        if name == "progress" and record.progress is not None:
            done = f"{record.progress.done:g}"
            of = "" if not record.progress.total else f" of {record.progress.total:g} ({record.progress.fraction:.0%})"
            yield name, f"{done}{of} {record.progress.message or ''}".rstrip()
        elif name == "checkpointed_at" and record.checkpointed_at is not None:
            yield "checkpoint", f"number {record.checkpoint_seq}, {ago(record.checkpointed_at)}"
        elif name == "error_type" and value:
            yield name, short_name(value)
        elif value not in (None, {}, []) and name != "checkpoint_seq":
            yield name, value


def _task_row(app: Perdure, name: str) -> dict[str, Any]:
    task = app.tasks[name]
    return {
        "name": name,
        "bulkhead": task.bulkhead,
        "signature": str(task.signature),
        "max_retries": task.retry.max_retries,
        "timeout": task.timeout,
    }


def wait_and_exit(app: Perdure, handle: JobHandle[Any], timeout: float | None, as_json: bool) -> None:
    """Wait for a job's end, print it without its secrets, and exit with the code that says how it was."""
    code = Exit.OK
    try:
        handle.wait(timeout)
    except JobDead as error:
        code = Exit.JOB_DEAD
        say(f"dead: {_masked(app, handle)[1].text(str(error))} (dead letter {error.dead_letter_id})", fg="red", err=True)
    except JobCancelled as error:
        code = Exit.JOB_CANCELLED
        say(error, fg="yellow", err=True)
    except TimeoutError as error:
        code = Exit.TIMED_OUT
        say(error, fg="yellow", err=True)
    record, _ = _masked(app, handle.refresh())
    if (unfinished := halted(handle.record)) is not None:
        code = Exit.HALTED
        say(f"job {handle.id} {unfinished}", fg="red", err=True)
    if as_json:
        result = codec.untagged(msgspec.json.decode(record.result_json)) if record.result_json else None
        print_json(asdict(record) | {"result": result})
    elif code is Exit.OK:
        say(f"{handle.id} {record.state}: {record.result_json}")
    sys.exit(code)


def _masked(app: Perdure, handle: JobHandle[Any]) -> tuple[JobRecord, Masker]:
    record, task = handle.record, task_of(app, handle.task)
    return masked_job(task, record), masker(task, record.args, record.kwargs)


def parsed(option: str, text: str, kind: type) -> Any:
    """Return the value of an option that is JSON; raises ``InvalidArguments`` when it is not, or of another kind."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeError) as error:  # without the text itself, which may hold a secret
        wanted = "a JSON array" if kind is list else "a JSON object"
        raise InvalidArguments(f"{option} must be {wanted}: {error}") from None
