"""What the pages of tasks and schedules show. Read in threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from perdure.errors import InvalidArguments
from perdure.ledger.jobs.history import Ended, added, percentile
from perdure.ledger.jobs.last_errors import LastError, last_errors
from perdure.ledger.schedules.schedule_facts import LastTick, Pause
from perdure.model.masking import mask_call
from perdure.model.moments import UNDERSTOOD, moment

if TYPE_CHECKING:
    from perdure import Perdure
    from perdure.manage.schedules import ScheduleState
    from perdure_workers.facts.history import History


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task with its last hour; run times in seconds.

    Attributes:
        bulkhead: Where its jobs run; None when this application does not know the task.
        ended: Attempts that ended in each minute, the current one last; None for one not read yet.
        open_letters: Its dead letters that are open.
    """

    name: str
    bulkhead: str | None
    ended: list[int | None]
    failed: int
    p50: float | None
    p95: float | None
    last_error: LastError | None
    open_letters: int

    @property
    def total(self) -> int:
        """Attempts that ended in the hour."""
        return sum(value or 0 for value in self.ended)


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule: what it runs, when it ran last, and when it runs next; its call is masked as a job's is."""

    name: str
    task: str
    args: list[Any]
    kwargs: dict[str, Any]
    when: str
    missed: str
    last: LastTick | None
    pause: Pause | None
    following: list[datetime]


def task_list(app: Perdure, history: History) -> dict[str, Any]:
    """Return the tasks with their last hour, those that fail most first."""
    return {"task_views": task_views(app, history.last_hour())}


def task_views(app: Perdure, hour: Sequence[Sequence[Ended] | None]) -> list[TaskView]:
    """Return the tasks, those that fail most first.

    Args:
        app: The application.
        hour: What ended in each of the last minutes.
    """
    errors = app.ledger.direct(last_errors)
    letters: dict[str, int] = {}
    for group in app.dead_letters.groups(limit=500, open_only=True):
        letters[group.task] = letters.get(group.task, 0) + group.open
    names = {*app.tasks, *errors, *letters, *(each.task for minute in hour for each in minute or ())}
    views = [_task(app, name, hour, errors.get(name), letters.get(name, 0)) for name in sorted(names)]
    return sorted(views, key=lambda view: (-view.failed, -view.open_letters, -view.total))


def schedule_list(app: Perdure) -> dict[str, Any]:
    """Return the schedules with their last and next ticks."""
    return {"schedules": [_schedule(app, state) for state in app.schedules.states()]}


def _task(
    app: Perdure, name: str, hour: Sequence[Sequence[Ended] | None], error: LastError | None, letters: int
) -> TaskView:
    minutes = [None if one is None else [each for each in one if each.task == name] for one in hour]
    mine = [each for minute in minutes for each in minute or ()]
    runs = added(each.runs for each in mine)
    return TaskView(
        name=name,
        bulkhead=app.tasks[name].bulkhead if name in app.tasks else None,
        ended=[None if one is None else sum(each.succeeded + each.failed for each in one) for one in minutes],
        failed=sum(each.failed for each in mine),
        p50=percentile(runs, 0.5),
        p95=percentile(runs, 0.95),
        last_error=error,
        open_letters=letters,
    )


def backfill_question(app: Perdure, asked: Mapping[str, str]) -> dict[str, Any]:
    """Return what a backfill would do, for the page that asks before it is done; it asks for the stretch of time as well.

    Args:
        app: The application.
        asked: ``of``, the schedule, and ``from`` and ``to``, moments as people type them.
    """
    schedule = app.schedules.checked(asked.get("of", ""))
    problem, plan = "", None
    if asked.get("from"):
        try:
            plan = app.schedules.plan(schedule.name, *stretch(asked))
        except InvalidArguments as error:
            problem = str(error)
    return {"asked": asked, "schedule": schedule, "plan": plan, "problem": problem, "understood": UNDERSTOOD}


def stretch(asked: Mapping[str, str]) -> tuple[float, float | None]:
    """Return the moments of a backfill, epoch seconds; no end means now.

    Raises:
        InvalidArguments: One of them cannot be read, or there is no beginning.
    """
    return moment("from", asked.get("from", "")), moment("to", asked["to"]) if asked.get("to") else None


def _schedule(app: Perdure, state: ScheduleState) -> ScheduleView:
    schedule = state.schedule
    args, kwargs = mask_call(app.tasks.get(schedule.task), list(schedule.args), schedule.kwargs)
    return ScheduleView(
        schedule.name,
        schedule.task,
        args,
        kwargs,
        schedule.when,
        schedule.missed,
        state.last,
        state.pause,
        state.following,
    )
