"""What is known of a run when it is judged: what was accepted, what happened, what was reported."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Literal, TypeVar

import msgspec

T = TypeVar("T")

#: States in which a job stays.
FINAL = ("succeeded", "dead", "cancelled")
#: The last line of an attempt that was not cut short.
OVER = ("ended", "raised", "refused")
#: ``unknown``: submit raised, and whether the job was written nobody knows.
Answer = Literal["accepted", "unknown"]


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """One call of submit, written down by who called.

    Attributes:
        key: What the workload calls the job by, the first argument of it.
        task: The task.
        at: When the call ended, monotonic seconds.
        answer: What came back.
        job: The job's id, when it was accepted.
        ends: The states in which it may end.
        failures: How often its function raises of its own accord before it succeeds.
        digest: Of the payload that was given.
        error: What was raised.
    """

    key: str
    task: str
    at: float
    answer: Answer
    job: str | None = None
    ends: tuple[str, ...] = ("succeeded",)
    failures: int = 0
    digest: str | None = None
    error: str | None = None


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a job did, written down by its function in a file that the platform does not know.

    Attributes:
        what: ``started``, ``resumed`` (from step ``number``), ``saved`` (that step), ``raised``, ``ended``; ``called`` and
            ``refused`` for a call of the service behind a breaker that was answered or not.
        key: The job's key.
        job: The job's id.
        fence: The claim's fence.
        pid: The process.
        at: When, monotonic seconds.
        number: A step.
        digest: Of the payload that was received.
    """

    what: str
    key: str
    job: str
    fence: int
    pid: int
    at: float
    number: int = 0
    digest: str | None = None


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """What the platform says of a job when all is over.

    Attributes:
        key: Its key.
        job: Its id.
        task: Its task.
        state: Its state.
        crashes: How many crashes it counts.
        outcomes: How each claim ended that left an attempt, by its fence.
    """

    key: str
    job: str
    task: str
    state: str
    crashes: int
    outcomes: dict[int, str]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was done to the platform.

    Attributes:
        name: What.
        begun: When, monotonic seconds.
        ended: When it was over; the same moment for a kill.
        told: What it hit.
    """

    name: str
    begun: float
    ended: float
    told: str = ""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What the platform was told, as far as promises depend on it.

    Attributes:
        max_crashes: Crashes after which a job is a dead letter.
        half_open_permits: Calls that an open breaker lets through in a recovery period.
        recovery_timeout: Seconds of such a period.
        opening_calls: Refused calls after which the breaker is open.
        flood: The seconds, begin and end, in which the calm bulkhead must not feel what another one has to bear.
        calm_task: The task of that bulkhead.
        patience: Seconds after a fault's end in which work has to be back to normal.
    """

    max_crashes: int = 10
    half_open_permits: int = 1
    recovery_timeout: float = 1.0
    opening_calls: int = 3
    flood: tuple[float, float] | None = None
    calm_task: str = "chaos.calm"
    patience: float = 60.0


class History(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One run.

    Attributes:
        submissions: What was submitted, in order of time.
        effects: What happened, in order of time.
        reports: What the platform says.
        rows: How often each row stands in the table that jobs write in transactions, by the job's key and the number.
        faults: What was done to it.
        excused: Keys of jobs that somebody has thrown away by hand: of them nothing is promised.
        begun: When the first job was submitted, monotonic seconds.
        ended: When all had ended, or the wait for it.
        rules: What the platform was told.
        servers: The releases of its servers.
    """

    submissions: list[Submission]
    effects: list[Effect]
    reports: list[Reported]
    rows: dict[tuple[str, int], int] = {}
    faults: list[Fault] = []
    excused: frozenset[str] = frozenset()
    begun: float = 0.0
    ended: float = 0.0
    rules: Rules = Rules()
    servers: dict[str, str] = {}

    @cached_property
    def effects_of(self) -> dict[str, list[Effect]]:
        """What each job did, by its id, in order of time."""
        return grouped(self.effects, lambda effect: effect.job)

    @cached_property
    def reports_of(self) -> dict[str, list[Reported]]:
        """What is reported of each key: more than one job would be one too many."""
        return grouped(self.reports, lambda report: report.key)

    @cached_property
    def submitted(self) -> dict[str, Submission]:
        """The submissions by their key."""
        return {each.key: each for each in self.submissions}


def grouped(things: Iterable[T], by: Callable[[T], str]) -> dict[str, list[T]]:
    """Return things by a property of them, each list in the order in which they came."""
    found: dict[str, list[T]] = defaultdict(list)
    for each in things:
        found[by(each)].append(each)
    return dict(found)
