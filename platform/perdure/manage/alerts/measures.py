"""The measures that rules look at: pure functions of what there is, each with the things that have a value now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from perdure.ledger import minutes
from perdure.manage.alerts.facts import BACKLOG_WINDOW, Facts
from perdure.model.alerts.builtin import FAILURE_WINDOW, LEAST_BACKLOG, LEAST_CALLS
from perdure.model.alerts.rule import Measured
from perdure.model.alerts.slo import WINDOWS, BurnWindow, Count, burnt_share
from perdure.model.dead_letter_notices import growth, is_new
from perdure.resilience.breaker.events import BreakerSnapshot

#: Returns the values of a measure; None when what it needs could not be read.
Measure = Callable[[Facts], Sequence[Measured] | None]

#: How long the failure of a worker that has not come back is an alert.
FAILURES_COUNT_FOR = timedelta(hours=1)
#: Health checks that rules with measures of their own stand for.
MEASURED_CHECKS = ("breakers", "workers", "queue_age", "disk")


def failure_rate(facts: Facts) -> list[Measured]:
    """Part of a task's attempts that failed, 0 to 1, in five minutes; only with ten calls or more."""
    return [
        Measured(
            {"task": task},
            one.bad_share,
            f"{task}: {one.bad} of {one.total} attempts failed in {FAILURE_WINDOW:g} s ({one.bad_share:.1%})",
        )
        for task, one in _series(facts, minutes.TASK)
        if one.total >= LEAST_CALLS
    ]


def dead_letters_new(facts: Facts) -> list[Measured]:
    """Open letters of a fault that was first seen in the last hour."""
    return [
        Measured(
            {"task": group.task, "fingerprint": group.fingerprint},
            group.open,
            f"a new fault in {group.task}: {group.error_type or group.reason}, {group.open} open dead letters",
        )
        for group in facts.groups
        if is_new(group, facts.moment)
    ]


def dead_letters_growth(facts: Facts) -> list[Measured]:
    """How many times as many letters of a fault as usual came in the last two hours."""
    return [
        Measured(
            {"task": group.task, "fingerprint": group.fingerprint},
            growth(group),
            f"{group.error_type or group.reason} in {group.task} grows: {sum(group.trend[-2:])} dead letters in two hours, "
            f"{growth(group):.1f} times as many as usual",
        )
        for group in facts.groups
        if not is_new(group, facts.moment)
    ]


def dead_letters_regressed(facts: Facts) -> list[Measured]:
    """Open letters of a fault that was dealt with and came back with a release."""
    return [
        Measured(
            {"task": group.task, "fingerprint": group.fingerprint},
            group.open,
            f"{group.error_type or group.reason} in {group.task} came back with a release, {group.open} open dead letters",
        )
        for group in facts.groups
        if group.regressed_at is not None
    ]


def queue_age(facts: Facts) -> list[Measured]:
    """Seconds that the oldest job of a bulkhead that is not paused has waited for its turn."""
    return [
        Measured({"bulkhead": name}, one.oldest_wait, f"the oldest job in {name} has waited {one.oldest_wait:.0f} s")
        for name, one in facts.bulkheads.items()
        if one.oldest_wait is not None and not one.paused
    ]


def queue_depth(facts: Facts) -> list[Measured]:
    """Jobs of a bulkhead that wait for their turn."""
    return [
        Measured({"bulkhead": name}, one.queued, f"queued jobs in {name}: {one.queued}")
        for name, one in facts.bulkheads.items()
    ]


def backlog_growth(facts: Facts) -> list[Measured]:
    """Jobs a second by which a bulkhead's backlog has grown over five minutes: arrival rate less drain rate."""
    found = []
    for name, one in facts.bulkheads.items():
        before = facts.depths_before.get(name)
        if before is None or one.queued < LEAST_BACKLOG or one.paused:
            continue
        rate = (one.queued - before) / BACKLOG_WINDOW
        message = f"the backlog of {name} grows by {rate:.2g} jobs/s and does not clear: {one.queued} wait, {before} before"
        found.append(Measured({"bulkhead": name}, rate, message))
    return found


def breaker_open(facts: Facts) -> list[Measured] | None:
    """1 for a circuit breaker that is open by itself, 0.5 while it tries."""
    return _of_breakers(
        facts,
        lambda one: {"open": 1.0, "half_open": 0.5}.get(one.state, 0.0) if one.override is None else 0.0,
        lambda one: f"breaker {one.name} is {one.state.replace('_', '-')}: {one.reason}",
    )


def breaker_forced(facts: Facts) -> list[Measured] | None:
    """1 for a circuit breaker that somebody has forced."""
    return _of_breakers(
        facts,
        lambda one: 0.0 if one.override is None else 1.0,
        lambda one: f"breaker {one.name} was forced {one.state} by {one.override.by if one.override else 'nobody'}",
    )


def worker_failed(facts: Facts) -> list[Measured]:
    """1 for a worker that failed in the last hour and has not come back."""
    live = {worker.name for worker in facts.workers}
    failed = {
        event.name: event
        for event in reversed(facts.events)
        if event.is_failure and event.name not in live and event.at and facts.moment - event.at < FAILURES_COUNT_FOR
    }
    return [
        Measured({"worker": name}, 1.0, f"worker {name} failed and has not come back: {event.reason}")
        for name, event in failed.items()
    ]


def bulkhead_unserved(facts: Facts) -> list[Measured]:
    """Jobs that wait in a bulkhead which no worker serves."""
    served = {worker.bulkhead for worker in facts.workers if not worker.draining}
    return [
        Measured({"bulkhead": name}, one.queued, f"no worker serves {name}; jobs that wait there: {one.queued}")
        for name, one in facts.bulkheads.items()
        if one.queued and not one.paused and name not in served
    ]


def checkpoint_failures(facts: Facts) -> list[Measured]:
    """Checkpoints of a task that could not be saved or read in five minutes."""
    return [
        Measured({"task": task}, one.bad, f"{one.bad} checkpoints of {task} could not be saved or read")
        for task, one in _series(facts, minutes.CHECKPOINT)
    ]


def bells_lost(facts: Facts) -> list[Measured]:
    """Part of a bulkhead's jobs that idle workers found by looking in five minutes; 1 while no bell can be rung."""
    broker = next((check for check in facts.checks or () if check.name == "broker" and not check.healthy), None)
    if broker is not None:
        return [Measured({"bulkhead": "*"}, 1.0, f"no bell is heard: {broker.error}")]
    return [
        Measured(
            {"bulkhead": name},
            min(1.0, one.bad / one.good),
            f"{one.bad} of {one.good} jobs in {name} were found by looks of idle workers: their bells were not heard",
        )
        for name, one in _series(facts, minutes.BULKHEAD)
        if one.good >= LEAST_CALLS
    ]


def disk_free(facts: Facts) -> list[Measured] | None:
    """Free bytes of the data folder's disk on the host that looks."""
    if facts.disk is None:
        return None
    host, free = facts.disk
    return [Measured({"host": host}, free, f"{free / 1e6:,.0f} MB are free on the data folder's disk on {host}")]


def health_check(facts: Facts) -> list[Measured] | None:
    """1 for a health check that fails, of the platform or of the application."""
    if facts.checks is None:
        return None
    return [
        Measured(
            {"check": check.name, "critical": "yes" if check.critical else "no"},
            0.0 if check.healthy else 1.0,
            f"{check.name}: {check.error}" if check.error else f"{check.name} is well",
        )
        for check in facts.checks
        if check.name not in MEASURED_CHECKS
    ]


def bulkhead_paused(facts: Facts) -> list[Measured]:
    """1 for a bulkhead that somebody has paused."""
    return [
        Measured({"bulkhead": name}, 1.0, f"{name} is paused by {one.paused_by or 'somebody'}{_because(one.reason)}")
        for name, one in facts.bulkheads.items()
        if one.paused
    ]


def schedule_paused(facts: Facts) -> list[Measured]:
    """1 for a schedule that somebody has paused."""
    return [
        Measured({"schedule": name}, 1.0, f"schedule {name} is paused by {pause.by or 'somebody'}{_because(pause.reason)}")
        for name, pause in facts.pauses.items()
        if name in facts.known_schedules
    ]


def _slo_burn(window: BurnWindow) -> Measure:
    def measure(facts: Facts) -> list[Measured]:
        """Part of an objective's error budget that goes in the long window at the lower speed of two windows."""
        found = []
        for slo in dict.fromkeys(slo for slo, _ in facts.slos):
            long, short = facts.slos[slo, window.long], facts.slos[slo, window.short]
            if long.total >= LEAST_CALLS:
                share = burnt_share(slo, window, long, short)
                message = (
                    f"{slo.name} burns {share:.1%} of its error budget in {window.long / 3600:g} h: {long.bad} of "
                    f"{long.total} jobs of {slo.task} were bad"
                )
                found.append(Measured({"slo": slo.name}, share, message))
        return found

    return measure


def _series(facts: Facts, prefix: str) -> list[tuple[str, Count]]:
    return [(name.removeprefix(prefix), one) for name, one in facts.recent.items() if name.startswith(prefix)]


def _of_breakers(
    facts: Facts, value: Callable[[BreakerSnapshot], float], message: Callable[[BreakerSnapshot], str]
) -> list[Measured] | None:
    if facts.breakers is None:
        return None
    return [Measured({"breaker": one.name}, value(one), message(one)) for one in facts.breakers if value(one)]


def _because(reason: str | None) -> str:
    return f": {reason}" if reason else ""


#: By name, as settings and rules call them.
MEASURES: dict[str, Measure] = {
    measure.__name__: measure
    for measure in (
        failure_rate,
        dead_letters_new,
        dead_letters_growth,
        dead_letters_regressed,
        queue_age,
        queue_depth,
        backlog_growth,
        breaker_open,
        breaker_forced,
        worker_failed,
        bulkhead_unserved,
        checkpoint_failures,
        bells_lost,
        disk_free,
        health_check,
        bulkhead_paused,
        schedule_paused,
    )
} | {f"slo_burn_{window.name}": _slo_burn(window) for window in WINDOWS}
