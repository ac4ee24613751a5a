"""Periodic jobs: a task and its schedule. Which tick is due is a pure function of the last one and the time."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, Literal, get_args

from msgspec import Struct, field

from perdure.errors import InvalidArguments, InvalidJobDefinition, Unserialisable
from perdure.model.cron import Cron, CronUnreadable, zone_of
from perdure.model.jitter import JITTER
from perdure.model.tick_keys import tick_key

if TYPE_CHECKING:
    from perdure.model.task_spec import TaskSpec

Missed = Literal["run_once", "skip"]

#: Seconds by which a tick may be late and still count as on time under ``missed="skip"``.
ON_TIME = 10.0
#: Shortest period, in seconds: supervisors look twice a second.
SHORTEST = 1.0
#: Longest jitter, in seconds.
LONGEST_JITTER = 86400.0
#: Longest name of a schedule, and of what it is stored as, in characters.
MAX_NAME, MAX_STORED_NAME = 128, 255
#: Seconds before now in which the newest cron tick is looked for, one after the other: after a long pause the many ticks
#: of a frequent schedule are not all stepped through. 32 days hold a monthly tick, nine years one of February 29.
WINDOWS = (3600.0, 86400.0, 32 * 86400.0, 9 * 366 * 86400.0)


class Periodic(Struct, frozen=True):
    """A schedule of a task.

    Args:
        task: The task's name.
        name: The schedule's name, under which the ledger remembers its newest tick: the task's for the one without a name
            of its own, else ``task/name``.
        cron: Its ticks by a cron expression, or None.
        every: Seconds between ticks, or None.
        missed: ``run_once`` or ``skip``; see :meth:`perdure.Perdure.periodic`.
        args: Positional arguments of its jobs.
        kwargs: Keyword arguments of its jobs.
        jitter: Seconds within which a job starts after its tick, drawn for each.
    """

    task: str
    name: str
    cron: Cron | None = None
    every: float | None = None
    missed: Missed = "run_once"
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    jitter: float = 0.0

    @classmethod
    def of(
        cls,
        task: TaskSpec,
        *,
        name: str | None = None,
        cron: str | None,
        every: float | None,
        tz: str | tzinfo | None,
        missed: Missed,
        args: Sequence[Any],
        kwargs: Mapping[str, Any] | None,
        jitter: float,
    ) -> Periodic:
        """Return a schedule of a task; the arguments are those of :meth:`perdure.Perdure.periodic`.

        Raises:
            InvalidJobDefinition: The schedule cannot be read, or the task cannot be called with its arguments.
        """
        own = task.name if name is None else f"{task.name}/{name}"
        if not (name is None or _is_name(name)) or len(own) > MAX_STORED_NAME:
            raise InvalidJobDefinition(
                f"{task.name}: name={name!r:.80} must be a text of 1 to {MAX_NAME} characters, and TASK/NAME of "
                f"{MAX_STORED_NAME} at most"
            )
        if (cron is None) == (every is None):
            raise InvalidJobDefinition(f"{own}: give a periodic job cron= or every=, one of them")
        if every is not None and tz is not None:
            raise InvalidJobDefinition(f"{own}: tz= is for cron=; every= counts seconds since the epoch")
        if every is not None and not (_is_number(every) and SHORTEST <= every < math.inf):
            raise InvalidJobDefinition(f"{own}: every={every!r} must be {SHORTEST:g} or more seconds")
        if not (_is_number(jitter) and 0 <= jitter <= LONGEST_JITTER):
            raise InvalidJobDefinition(f"{own}: jitter={jitter!r} must be from 0 to {LONGEST_JITTER:g} seconds")
        if missed not in get_args(Missed):
            raise InvalidJobDefinition(f"{own}: missed={missed!r} is not known. Allowed: {', '.join(get_args(Missed))}")
        made = cls(task.name, own, _cron(own, cron, tz), every, missed, tuple(args), dict(kwargs or {}), jitter)
        made._check_call(task)
        return made

    def due(self, last: float, now: float) -> float | None:
        """Return the newest tick after ``last`` that is due at ``now``, or None.

        Args:
            last: The tick that was fired last, epoch seconds.
            now: The ledger's time, epoch seconds.
        """
        if self.every is not None:
            newest = math.floor(now / self.every) * self.every
            return newest if newest > last else None
        for window in WINDOWS:
            if (tick := self._newest_since(max(last, now - window), now)) is not None or last >= now - window:
                return tick
        return None

    def _newest_since(self, moment: float, now: float) -> float | None:
        tick: float | None = None
        while (moment := self.next_after(moment)) <= now:
            tick = moment
        return tick

    def is_wanted(self, tick: float, now: float) -> bool:
        """Return whether a tick is to be run when it is found at ``now``, both epoch seconds."""
        return self.missed == "run_once" or now - tick <= ON_TIME

    def next_after(self, moment: float) -> float:
        """Return the first tick after a moment, both epoch seconds; infinite when there is none."""
        if self.cron is not None:
            return self.cron.next_after(moment)
        assert self.every is not None
        return (math.floor(moment / self.every) + 1) * self.every

    @property
    def when(self) -> str:
        """When it runs, in words."""
        said = f"every {self.every:g} s" if self.cron is None else f"cron {self.cron.expression} ({self.cron.zone})"
        return said + (f", up to {self.jitter:g} s later" if self.jitter else "")

    def key(self, tick: float) -> str:
        """Return the idempotency key of a tick's job, which is unique within the task."""
        return tick_key(self.name, self.task, tick)

    def delay(self, rng: random.Random = JITTER) -> float | None:
        """Return the seconds that a tick's job waits; None for none."""
        return rng.uniform(0, self.jitter) or None

    def _check_call(self, task: TaskSpec) -> None:
        try:
            task.signature.encode(self.args, self.kwargs)
        except (InvalidArguments, Unserialisable) as error:
            what = (
                "with these args= and kwargs=" if self.args or self.kwargs else "without arguments; give args= or kwargs="
            )
            raise InvalidJobDefinition(f"{self.name}: a periodic job is run {what}: {error}") from None


def _cron(name: str, expression: str | None, tz: str | tzinfo | None) -> Cron | None:
    try:
        return None if expression is None else Cron(expression, zone_of(tz))
    except CronUnreadable as error:
        raise InvalidJobDefinition(f"{name}: cron={expression!r}: {error}") from None


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable()


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
