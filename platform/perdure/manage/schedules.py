"""``app.schedules``: periodic jobs by name; pausing, running and making up for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from perdure.errors import DuplicateTask, InvalidArguments, UnknownSchedule
from perdure.ledger.schedules import schedule_facts, ticks
from perdure.ledger.schedules.schedule_facts import LastTick, Pause
from perdure.model.clock import to_epoch
from perdure.model.job_options import SubmitOptions
from perdure.submit.periodic import Periodic

if TYPE_CHECKING:
    from perdure.ledger import Ledger
    from perdure.settings.settings import Settings
    from perdure.submit.handle import JobHandle
    from perdure.submit.submitter import Submitter
    from perdure.submit.task import Task

#: Ticks of one backfill at most: more is a slip, as a rule, and a shorter stretch can be taken again.
MOST_TICKS = 10_000
#: Ticks that are looked up and submitted at once.
CHUNK = 500
#: The priority of a backfill's jobs: behind all others of their bulkhead.
LAST = 9
#: Ticks to come that are told of a schedule.
FOLLOWING = 3


class ScheduleState(Struct, frozen=True):
    """A schedule and where it stands.

    Attributes:
        schedule: The schedule.
        last: Its newest tick; None when no supervisor has seen it yet.
        pause: Who has paused it; None while it runs.
        following: Its next ticks, as they come when it is not paused.
    """

    schedule: Periodic
    last: LastTick | None
    pause: Pause | None
    following: list[datetime]


class BackfillPlan(Struct, frozen=True):
    """What a backfill would submit.

    Attributes:
        schedule: The schedule's name.
        ticks: The ticks that have no job, the oldest first.
        have_jobs: How many more ticks of the stretch have one.
        forgotten: How many of ``ticks`` are so old that the ledger may have forgotten their jobs: they may have run.
    """

    schedule: str
    ticks: list[datetime]
    have_jobs: int
    forgotten: int


class Schedules(Mapping[str, Periodic]):
    """The schedules of an application, by the names under which the ledger remembers their ticks."""

    def __init__(
        self, settings: Settings, tasks: Mapping[str, Task[..., Any]], ledger: Ledger, submitter: Submitter
    ) -> None:
        self._settings, self._tasks, self._ledger, self._submitter = settings, tasks, ledger, submitter
        self._schedules: dict[str, Periodic] = {}

    def __getitem__(self, name: str) -> Periodic:
        return self._schedules[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._schedules)

    def __len__(self) -> int:
        return len(self._schedules)

    def add(self, schedule: Periodic) -> None:
        """Run a task by a schedule.

        Raises:
            DuplicateTask: There is one of its name.
        """
        if self._schedules.setdefault(schedule.name, schedule) is not schedule:
            raise DuplicateTask(f"schedule {schedule.name!r} is there already; give another name= to periodic(...)")

    def forget(self, task: str) -> None:
        """Forget the schedules of a task."""
        self._schedules = {name: each for name, each in self._schedules.items() if each.task != task}

    def checked(self, name: str) -> Periodic:
        """Return a schedule.

        Raises:
            UnknownSchedule: There is none of that name; the message names the closest.
        """
        if name not in self._schedules:
            raise UnknownSchedule(name, self._schedules)
        return self._schedules[name]

    def states(self) -> list[ScheduleState]:
        """Return all schedules by name, each with where it stands."""
        last, now = self._ledger.direct(schedule_facts.last_ticks), self._ledger.clock()
        pauses = self._ledger.direct(schedule_facts.pauses)
        return [
            ScheduleState(each, last.get(name), pauses.get(name), _following(each, now))
            for name, each in sorted(self._schedules.items())
        ]

    def pause(self, name: str, *, by: str = "python", reason: str = "") -> None:
        """Let the ticks of a schedule pass without a job until it is resumed.

        Raises:
            UnknownSchedule: There is no such schedule.
        """
        self.checked(name)
        self._ledger.transact(lambda c: ticks.pause(c, name, by, reason))

    def resume(self, name: str) -> bool:
        """Let a paused schedule run again from its next tick on, and return whether it was paused.

        What it has missed meanwhile is not run; :meth:`backfill` does that.

        Raises:
            UnknownSchedule: There is no such schedule.
        """
        self.checked(name)
        return self._ledger.direct(lambda c: ticks.resume(c, name))

    def trigger(self, name: str, *, by: str = "python") -> JobHandle[Any]:
        """Run a schedule's task once now, besides its ticks, and return the job.

        Raises:
            UnknownSchedule: There is no such schedule.
        """
        schedule = self.checked(name)
        task = self._tasks[schedule.task].options(tags={"triggered_by": by})
        handle: JobHandle[Any] = task.submit(*schedule.args, **schedule.kwargs)
        return handle

    def plan(self, name: str, since: datetime | float, until: datetime | float | None = None) -> BackfillPlan:
        """Return what :meth:`backfill` would submit; the arguments are the same.

        Raises:
            UnknownSchedule: There is no such schedule.
            InvalidArguments: The stretch of time holds too many ticks, or none can be in it.
        """
        schedule, now = self.checked(name), self._ledger.clock()
        passed = _between(schedule, max(0.0, to_epoch(since) or 0.0), min(now, to_epoch(until) or now))
        missed = [tick for chunk in _chunks(passed) for tick in self._without_job(schedule, chunk)]
        remembered_since = now - max(self._settings.retention, self._settings.idempotency_ttl)
        return BackfillPlan(
            name,
            [datetime.fromtimestamp(tick, UTC) for tick in missed],
            len(passed) - len(missed),
            sum(tick < remembered_since for tick in missed),
        )

    def backfill(
        self,
        name: str,
        since: datetime | float,
        until: datetime | float | None = None,
        *,
        priority: int = LAST,
        on_batch: Callable[[int], object] = lambda _count: None,
    ) -> int:
        """Submit a job for each tick of a stretch of time that has none, and return how many.

        Each tick gets one job, however often this is called: its job is known by schedule and tick. The job finds its tick
        in ``ctx.tick``. A tick whose job is so old that the ledger has forgotten it counts as missed.

        Args:
            name: The schedule; it may be paused.
            since: The first moment, with a time zone or epoch seconds.
            until: The first moment after it; now by default, and at most.
            priority: Of the jobs, 0 to 9: by default they come behind all others.
            on_batch: Called after each batch with the number of jobs in it.

        Raises:
            UnknownSchedule: There is no such schedule.
            InvalidArguments: The stretch of time holds too many ticks, or none can be in it.
            BulkheadFull: No room is left; what was submitted stays, and the next call goes on from there.
        """
        schedule, how, total = self.checked(name), SubmitOptions(priority=priority), 0
        task = self._tasks[schedule.task]
        for chunk in _chunks([tick.timestamp() for tick in self.plan(name, since, until).ticks]):
            made = self._submitter.submit_ticks(task, schedule, chunk, how)
            total += made
            on_batch(made)
        return total

    def _without_job(self, schedule: Periodic, ticks: Sequence[float]) -> list[float]:
        keys = {schedule.key(tick): tick for tick in ticks}
        taken = self._ledger.direct(lambda c: schedule_facts.taken(c, schedule.task, list(keys)))
        return [tick for key, tick in keys.items() if key not in taken]


def _following(schedule: Periodic, now: float) -> list[datetime]:
    found: list[datetime] = []
    moment = now
    while len(found) < FOLLOWING and (moment := schedule.next_after(moment)) < math.inf:
        found.append(datetime.fromtimestamp(moment, UTC))
    return found


def _between(schedule: Periodic, since: float, until: float) -> list[float]:
    """Return the ticks from a moment on and before another one, epoch seconds."""
    if since >= until:
        raise InvalidArguments(
            f"{schedule.name}: no tick can have been missed from {_shown(since)} on and before {_shown(until)}"
        )
    ticks: list[float] = []
    moment = since - 0.001  # the next one after that may be the moment itself
    while (moment := schedule.next_after(moment)) < until:
        ticks.append(moment)
        if len(ticks) > MOST_TICKS:
            raise InvalidArguments(
                f"{schedule.name} has more than {MOST_TICKS:,} ticks from {_shown(since)} to {_shown(until)}; ask for less"
            )
    return ticks


def _chunks(ticks: Sequence[float]) -> Iterator[Sequence[float]]:
    return (ticks[at : at + CHUNK] for at in range(0, len(ticks), CHUNK))


def _shown(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"
