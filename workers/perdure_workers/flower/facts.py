"""What pages and the JSON API show, read from the ledger and from Redis. Everything here runs in threads.

Arguments and results are masked here, so that no page or answer has to think of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.liveness import WorkerState
from perdure.masked import masked_attempt, masked_detail, masked_job, masked_letter
from perdure.masking import masker
from perdure.states import JobState
from perdure_workers.flower.actions import FILTERS, finite

if TYPE_CHECKING:
    from perdure import Perdure
    from perdure_workers.flower.history import History

#: Rows of a page of a list.
PAGE = 50
#: Hours to which lists can go back: a hundred years.
LONGEST_HOURS = 876_000.0


@dataclass(frozen=True, slots=True)
class BulkheadView:
    """A bulkhead on the overview; plots by minute, the current one last."""

    name: str
    queued: int
    running: int
    waiting: int
    oldest_wait: float | None
    paused: bool
    paused_by: str | None
    workers: int
    slots: int
    ended: list[int | None]
    failed: list[int | None]
    mean_run: list[float | None]


@dataclass(frozen=True, slots=True)
class Attention:
    """Something that somebody should look at; ``level`` is ``bad`` or ``waiting``."""

    level: str
    text: str


def overview(app: Perdure, history: History) -> dict[str, Any]:
    """Return the platform at a glance."""
    hour = history.last_hour()
    workers = app.workers.list()
    health = app.health()
    seen = [_bulkhead(app, name, workers, hour) for name in app.bulkheads]
    breaker_list = breakers(app)
    events = recent_failures(app)
    healthy = sum(check.healthy for check in health.checks)
    return {
        "bulkheads": seen,
        "breakers": breaker_list,
        "workers": workers,
        "health": health,
        "score": round(100 * healthy / max(1, len(health.checks))),
        "attention": _attention(seen, breaker_list, health, events),
    }


def job_list(app: Perdure, asked: Mapping[str, str]) -> dict[str, Any]:
    """Return a page of jobs.

    Args:
        app: The application.
        asked: ``state``, ``task``, ``bulkhead``, ``tag``, ``id``, ``hours`` and ``after``, as texts.
    """
    filters: dict[str, Any] = {name: asked[name] for name in ("state", "task", "bulkhead", "tag", "after") if name in asked}
    if "hours" in asked:
        filters["since"] = datetime.now(UTC) - timedelta(hours=min(abs(finite("hours", asked["hours"])), LONGEST_HOURS))
    found = [handle.record for handle in app.jobs.list(limit=PAGE + 1, **filters)]
    page = [masked_job(app.tasks.get(record.task), record) for record in found[:PAGE]]
    return {"jobs": page, "next": page[-1].id if len(found) > PAGE else None, "tasks": sorted(app.tasks)}


def job(app: Perdure, job_id: str) -> dict[str, Any]:
    """Return everything about a job."""
    record = app.jobs.get(job_id).record
    task = app.tasks.get(record.task)
    shown, mask = masked_job(task, record), masker(task, record.args, record.kwargs)
    return {
        "job": shown,
        "attempts": [masked_attempt(attempt, mask) for attempt in app.ledger.attempts(job_id)],
        "why": [] if record.state.is_final or record.state is JobState.RUNNING else app.jobs.why(job_id),
        "checkpoints": app.ledger.letters.checkpoints(job_id),
        "steps": [mask.text(step.name) for step in app.ledger.steps_of(job_id)],
        "notes": [replace(note, text=mask.text(note.text)) for note in app.ledger.notes_of(job_id)],
        "lineage": app.dead_letters.lineage(job_id),
        "result": msgspec.json.decode(shown.result_json) if shown.result_json and "result" not in shown.unopened else None,
        "now": datetime.now(UTC),
    }


def letter_list(app: Perdure, asked: Mapping[str, str]) -> dict[str, Any]:
    """Return the groups of dead letters, and a page of letters; filters as texts."""
    filters: dict[str, Any] = {name: asked[name] for name in (*FILTERS, "after") if name in asked}
    found = app.dead_letters.list(limit=PAGE + 1, **filters)
    page = [masked_letter(app.tasks.get(letter.task), letter) for letter in found[:PAGE]]
    return {
        "letters": page,
        "next": page[-1].id if len(found) > PAGE else None,
        "groups": app.dead_letters.groups(limit=20, open_only=True, order="last_seen"),
    }


def letter(app: Perdure, letter_id: str) -> dict[str, Any]:
    """Return everything about a dead letter."""
    found = app.dead_letters.show(letter_id)
    return {"detail": masked_detail(app.tasks.get(found.letter.task), found), "bulkheads": list(app.bulkheads)}


def breakers(app: Perdure) -> list[Any]:
    """Return a snapshot of each breaker."""
    return app.breakers.snapshots()


def breaker_list(app: Perdure) -> dict[str, Any]:
    """Return the breakers with their histories, the newest change first."""
    changes = {name: app.breakers[name].history() for name in app.breakers}
    return {"breakers": breakers(app), "changes": changes, "now": datetime.now(UTC)}


def worker_list(app: Perdure) -> dict[str, Any]:
    """Return the workers, live and ended, and the changes of their states."""
    workers = app.workers.list(all_states=True)
    live = [worker for worker in workers if WorkerState(worker.state).is_live]
    ended = [worker for worker in workers if not WorkerState(worker.state).is_live]
    ended.sort(key=lambda worker: worker.heartbeat_at or datetime.min.replace(tzinfo=UTC), reverse=True)
    return {
        "live": live,
        "ended": ended[:PAGE],
        "events": app.workers.events(limit=PAGE),
        "lease_ttl": app.settings.lease_ttl,
    }


def recent_failures(app: Perdure) -> list[Any]:
    """Return workers' failures of the last hour."""
    since = datetime.now(UTC) - timedelta(hours=1)
    return [event for event in app.workers.events(limit=PAGE) if event.is_failure and event.at and event.at > since]


def _bulkhead(app: Perdure, name: str, workers: list[Any], hour: list[Any]) -> BulkheadView:
    counts = app.bulkheads[name].counts
    serving = [worker for worker in workers if worker.bulkhead == name and not worker.draining]
    minutes = [None if minute is None else {ended.bulkhead: ended for ended in minute}.get(name) for minute in hour]
    known = [minute is not None for minute in hour]
    return BulkheadView(
        name=name,
        queued=counts.queued,
        running=counts.running,
        waiting=counts.waiting,
        oldest_wait=counts.oldest_wait,
        paused=counts.paused,
        paused_by=counts.paused_by,
        workers=len(serving),
        slots=sum(worker.concurrency for worker in serving),
        ended=[(m.succeeded + m.failed if m else 0) if k else None for m, k in zip(minutes, known, strict=True)],
        failed=[(m.failed if m else 0) if k else None for m, k in zip(minutes, known, strict=True)],
        mean_run=[m.mean_run if m else None for m in minutes],
    )


def _attention(
    bulkheads: list[BulkheadView], breaker_views: list[Any], health: Any, failures: list[Any]
) -> list[Attention]:
    found = [Attention("bad", f"{check.name}: {check.error}") for check in health.checks if not check.healthy]
    found += [
        Attention("bad", f"{bulkhead.name} has {bulkhead.queued} queued jobs and no worker")
        for bulkhead in bulkheads
        if bulkhead.queued and not bulkhead.workers
    ]
    found += [Attention("waiting", f"{one.name} is paused by {one.paused_by}") for one in bulkheads if one.paused]
    found += [
        Attention("bad", f"breaker {one.name} is {one.state}: {one.reason}")
        for one in breaker_views
        if one.state != "closed"
    ]
    return found + [Attention("waiting", f"worker {one.name} failed: {one.reason}") for one in failures]
