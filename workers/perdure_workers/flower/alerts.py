"""What somebody should look at now: each thing once, since when, and what to do about it. Gone when it is over."""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from perdure.ledger.schedules.schedule_facts import Pause
from perdure.manage.health import HealthReport
from perdure.model.records import WorkerRecord
from perdure.model.worker_health import WorkerEvent, WorkerState
from perdure.resilience.breaker.events import BreakerSnapshot
from perdure_workers.flower.bulkhead_view import BulkheadView

#: Health checks whose findings are alerts of their own.
_OWN_ALERTS = ("breakers", "workers")
#: How long the failure of a worker that has not come back is an alert.
FAILURES_COUNT_FOR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that somebody should look at.

    Attributes:
        key: What it is about; two alerts of the same are one.
        level: ``bad``, or ``waiting`` for what somebody wanted or what mends itself.
        text: What is the matter.
        todo: What to do about it.
        since: Since when.
        page: The page that shows more: the name of a route.
    """

    key: str
    level: str
    text: str
    todo: str
    since: datetime | None = None
    page: str = "perdure_overview"


class FirstSeen:
    """Remembers when this process saw an alert first that has no time of its own. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moments: dict[str, datetime] = {}

    def dated(self, alerts: Iterable[Alert]) -> list[Alert]:
        """Return alerts, one of each key, with their times, the newest first; what is over is forgotten."""
        with self._lock:
            unique = {alert.key: alert for alert in reversed(list(alerts))}
            seen = {key: self._moments.get(key, datetime.now(UTC)) for key in unique}
            self._moments = seen
        dated = [replace(alert, since=alert.since or seen[alert.key]) for alert in reversed(unique.values())]
        return sorted(dated, key=lambda alert: (alert.level != "bad", -(alert.since or datetime.now(UTC)).timestamp()))


def alerts_of(
    bulkheads: Sequence[BulkheadView],
    breakers: Sequence[BreakerSnapshot],
    health: HealthReport,
    workers: Sequence[WorkerRecord],
    events: Sequence[WorkerEvent],
    now: datetime,
) -> list[Alert]:
    """Return what is to be looked at now, given what there is; a pure decision."""
    return [
        *_of_health(health),
        *(alert for one in bulkheads for alert in _of_bulkhead(one, now)),
        *(_of_breaker(one) for one in breakers if one.state != "closed"),
        *_of_workers(workers, events, now),
    ]


def of_paused_schedules(pauses: Mapping[str, Pause], known: Container[str]) -> list[Alert]:
    """Return what is to be said of the paused ones of the schedules that an application knows."""
    return [
        Alert(
            f"schedule:{name}",
            "waiting",
            f"schedule {name} is paused by {pause.by or 'somebody'}" + (f": {pause.reason}" if pause.reason else ""),
            "Resume it when that is over, and backfill what it missed.",
            pause.at,
            "perdure_schedules",
        )
        for name, pause in sorted(pauses.items())
        if name in known
    ]


def _of_health(health: HealthReport) -> list[Alert]:
    failing = [check for check in health.checks if not check.healthy and check.name not in _OWN_ALERTS]
    todo = {
        "ledger": "Nothing can be submitted or claimed. See that its database runs and can be reached.",
        "broker": "Jobs stay in the ledger and go on when it is back. See that Redis runs and can be reached.",
        "bulkheads": "Start workers, or raise max_depth, or find what submits so much.",
        "queue_age": "Open one of the jobs: its page says why it is not running.",
        "duties": "Start a worker or a supervisor, or see in its log why it does not.",
        "nodes": "See on the page of workers what happened; mend or replace the node, or trust it again.",
        "disk": "Make room, or move the data folder.",
    }
    return [
        Alert(
            f"health:{check.name}",
            "bad" if check.critical else "waiting",
            f"{check.name}: {check.error}",
            todo.get(check.name, "See what this check of the application needs."),
        )
        for check in failing
    ]


def _of_bulkhead(one: BulkheadView, now: datetime) -> list[Alert]:
    if one.paused:
        text = f"{one.name} is paused by {one.paused_by or 'somebody'}" + (f": {one.reason}" if one.reason else "")
        return [Alert(f"paused:{one.name}", "waiting", text, "Resume it when that is over.", one.paused_since)]
    if not one.queued or one.workers:
        return []
    since = now - timedelta(seconds=one.oldest_wait) if one.oldest_wait is not None else None
    todo = f"Start one: perdure worker {one.name}"
    return [Alert(f"unserved:{one.name}", "bad", f"{one.name} has {one.queued} queued jobs and no worker", todo, since)]


def _of_breaker(one: BreakerSnapshot) -> Alert:
    since = None if one.since is None else datetime.fromtimestamp(one.since, UTC)
    if one.override is not None:
        level, todo = "waiting", f"{one.override.by} forced it; reset it when that is over."
    elif one.state == "half_open":
        level, todo = "waiting", "It lets trial calls through and closes by itself when they succeed."
    else:
        level, todo = "bad", "See that what it guards works again: it tries by itself, and its jobs wait unharmed."
    return Alert(
        f"breaker:{one.name}", level, f"breaker {one.name} is {one.state}: {one.reason}", todo, since, "perdure_breakers"
    )


def _of_workers(workers: Sequence[WorkerRecord], events: Sequence[WorkerEvent], now: datetime) -> list[Alert]:
    live = {worker.name: worker for worker in workers}
    found = [
        Alert(
            f"worker:{worker.name}",
            "waiting",
            f"worker {worker.name} has not been heard of for {worker.heartbeat_age:.0f} s",
            "Its jobs go elsewhere if it stays silent.",
            worker.heartbeat_at,
            "perdure_workers",
        )
        for worker in workers
        if worker.state == WorkerState.SUSPECT
    ]
    for event in events:  # the newest first
        if event.is_failure and event.name not in live and event.at and now - event.at < FAILURES_COUNT_FOR:
            text = f"worker {event.name} failed and has not come back: {event.reason}"
            todo = "Its jobs have been given to others. See why it ended and start it again."
            found.append(Alert(f"worker:{event.name}", "bad", text, todo, event.at, "perdure_workers"))
    return found
