"""A run over time, from its evidence: throughput, latency, and how long the platform took to recover from each fault."""

from __future__ import annotations

from bisect import bisect_right
from math import ceil

import msgspec

from perdure_workers.chaos.history import FINAL, OVER, History

#: Jobs that may be under way without anything being wrong, beside what was under way before the first fault.
_SLACK = 5


class Wait(msgspec.Struct, frozen=True):
    """How long an accepted job waited until it first ran; ``at`` is when it was accepted, monotonic seconds."""

    task: str
    at: float
    seconds: float


class Second(msgspec.Struct, frozen=True):
    """One second of a run.

    Attributes:
        at: Seconds since its begin.
        submitted: Jobs that were accepted in it.
        ended: Jobs whose work ended in it.
        p50: Median of the waits of jobs that first ran in it, in seconds; None if none did.
        p95: Their 95th percentile.
    """

    at: int
    submitted: int
    ended: int
    p50: float | None
    p95: float | None


class Recovery(msgspec.Struct, frozen=True):
    """How long work took to be back to normal after a fault.

    Attributes:
        fault: Its name.
        at: When it began, seconds since the run's begin.
        lasted: Seconds that it lasted.
        seconds: From its end until what waits was as little as before the first fault; None if that did not happen.
    """

    fault: str
    at: float
    lasted: float
    seconds: float | None


def waits(history: History) -> list[Wait]:
    """Return how long each accepted job waited, in order of acceptance; what never ran is left out."""
    first = {job: min(effect.at for effect in effects) for job, effects in history.effects_of.items()}
    return [
        Wait(each.task, each.at, max(0.0, first[each.job] - each.at))
        for each in history.submissions
        if each.job is not None and each.job in first
    ]


def seconds(history: History) -> list[Second]:
    """Return a run second by second."""
    whole = max(1, ceil(history.ended - history.begun))
    submitted, ended = [0] * whole, [0] * whole
    waited: list[list[float]] = [[] for _ in range(whole)]

    def at(moment: float) -> int:
        return min(whole - 1, max(0, int(moment - history.begun)))

    for each in history.submissions:
        submitted[at(each.at)] += each.answer == "accepted"
    for moment in _last_ends(history).values():
        ended[at(moment)] += 1
    for wait in waits(history):
        waited[at(wait.at + wait.seconds)].append(wait.seconds)
    return [Second(n, submitted[n], ended[n], quantile(waited[n], 0.5), quantile(waited[n], 0.95)) for n in range(whole)]


def recoveries(history: History) -> list[Recovery]:
    """Return for each fault how long it took until no more jobs were under way than before the first one.

    What had been running when it began, and was cut short, has to run again besides.
    """
    if not history.faults:
        return []
    backlog = _backlog(history)
    first = min(fault.begun for fault in history.faults)
    normal = max((count for at, count in backlog if at < first), default=0) + _SLACK
    ends = [*(fault.begun for fault in history.faults[1:]), history.ended]
    found = []
    for fault, until in zip(history.faults, ends, strict=True):
        drained = _drained(backlog, fault.ended, max(until, fault.ended), normal)
        again = _run_again(history, fault.begun)
        seconds = None if drained is None or again is None else max(0.0, drained - fault.ended, again - fault.ended)
        found.append(Recovery(fault.name, fault.begun - history.begun, fault.ended - fault.begun, seconds))
    return found


def quantile(values: list[float], q: float) -> float | None:
    """Return a quantile by the nearest rank, or None when there are no values."""
    return sorted(values)[min(len(values) - 1, ceil(q * len(values)) - 1 if q > 0 else 0)] if values else None


def _drained(backlog: list[tuple[float, int]], ended: float, until: float, normal: int) -> float | None:
    """Return when what waits was normal again for good, or until the next fault; None if it never was."""
    start = max(0, bisect_right(backlog, ended, key=lambda each: each[0]) - 1)
    drained: float | None = ended
    for at, count in backlog[start:]:
        if count > normal:
            if at <= until:
                drained = None
        elif drained is None:
            drained = at
    return drained


def _run_again(history: History, begun: float) -> float | None:
    """Return when the last of the jobs ran again that were running then and were cut short; None if one never did."""
    last = begun
    unfinished = {report.job for report in history.reports if report.state not in FINAL}
    for job, effects in history.effects_of.items():
        before = [effect for effect in effects if effect.at < begun]
        if not before or before[-1].what in OVER or effects[0].key in history.excused:
            continue
        after = effects[len(before) :]
        if after and after[0].fence > before[-1].fence:  # what went on under the same fence was not cut short
            last = max(last, after[0].at)
        elif not after and job in unfinished:
            return None
    return last


def _backlog(history: History) -> list[tuple[float, int]]:
    """Return the moments at which the number of jobs under way changed, and the number from then on."""
    ends = _last_ends(history)
    changes = []
    for each in history.submissions:
        if each.job is not None and each.key not in history.excused:
            changes.append((each.at, 1))
            if each.job in ends:
                changes.append((max(each.at, ends[each.job]), -1))
    changes.sort()
    found, under_way = [(history.begun, 0)], 0
    for at, change in changes:
        under_way += change
        found.append((at, under_way))
    return found


def _last_ends(history: History) -> dict[str, float]:
    """Return when the work of each job was over that has ended: its last line."""
    final = {report.job for report in history.reports if report.state in FINAL}
    return {job: effects[-1].at for job, effects in history.effects_of.items() if job in final}
