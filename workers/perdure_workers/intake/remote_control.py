"""Celery's remote control, as Flower and ``celery control`` use it, for jobs that the ledger owns.

Commands that Celery would carry out in its own memory go to the ledger instead: revoking cancels the job. They run on the
worker's event loop, so that what needs SQL is posted to a thread.
"""

from __future__ import annotations

import logging
import math
import os
import signal as signals
from typing import TYPE_CHECKING, Any

from celery.utils.functional import maybe_list
from celery.worker.control import Panel

from perdure.errors import JobNotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from perdure import Perdure
    from perdure_workers.recovery.background import Background
    from perdure_workers.shared.time_limits import TimeLimits

logger = logging.getLogger("perdure.control")

#: Seconds; a shorter limit would end every job of a task.
SHORTEST_LIMIT = 0.1

_SIZE = "a worker has as many children as it was started with. Start another worker, or this one anew with -c N"
_QUEUE = "a worker serves one bulkhead. To hold it, use: perdure bulkheads pause"
_EVENTS = "workers always send events"
#: Commands of Celery's that would leave a worker which looks as if it ran, and why they are not taken.
REFUSED = {
    "pool_grow": _SIZE,
    "pool_shrink": _SIZE,
    "pool_restart": _SIZE,
    "autoscale": _SIZE,
    "add_consumer": _QUEUE,
    "cancel_consumer": _QUEUE,
    "disable_events": _EVENTS,
    "election": "perdure's supervisors need none",
    "revoke_by_stamped_headers": "jobs bear no headers. Cancel them by id, with revoke or perdure jobs cancel",
    "objgraph": "it writes files where the worker runs",
}


def install_remote_control(
    app: Perdure, background: Background, time_limits: TimeLimits, running: Callable[[], list[dict[str, Any]]]
) -> None:
    """Replace the commands of this process that would go past the ledger.

    Args:
        app: The application.
        background: What carries out commands that need the ledger.
        time_limits: Limits of this worker's attempts.
        running: Returns what this worker's children run, as ``inspect active`` shows it.
    """

    def revoke(_state: Any, task_id: Any, **_kwargs: Any) -> Any:
        """Cancel jobs in the ledger; a running one stops at its next checkpoint, or by force after a while."""
        job_ids = [str(job_id) for job_id in maybe_list(task_id) or []]
        background.post(lambda: _cancel(app, job_ids))
        return {"ok": f"jobs {', '.join(job_ids)} are cancelled"}

    def terminate(state: Any, signal: Any, task_id: Any, **_kwargs: Any) -> Any:
        """Cancel jobs in the ledger, as revoke does: the signal is perdure's to choose."""
        del signal
        return revoke(state, task_id)

    def time_limit(_state: Any, task_name: str = "", hard: float | None = None, soft: float | None = None, **_: Any) -> Any:
        """Bound the attempts of a task that begin from now on, in this worker until it ends."""
        if task_name not in app.tasks:
            return {"error": f"unknown task {task_name!r}"}
        limit = _seconds(soft) or _seconds(hard)
        if limit is None:
            return {"error": f"give a soft or a hard limit of {SHORTEST_LIMIT:g} seconds or more"}
        time_limits.set(task_name, limit)
        logger.info("attempts of %s may run %g s from now on", task_name, limit)
        return {"ok": f"time limit of {task_name} set to {limit:g} s"}

    def rate_limit(_state: Any, task_name: str = "", **_: Any) -> Any:
        """Refuse: Celery would apply them to messages, and jobs are no messages."""
        return {"error": f"{task_name}: rate limits are set in the application, not in a worker; see docs/flower.md"}

    def active(_state: Any, **_kwargs: Any) -> Any:
        """Return the jobs that this worker's children run."""
        return running()

    def query_task(_state: Any, ids: Any, **_kwargs: Any) -> Any:
        """Return those of some jobs that this worker's children run."""
        wanted = {str(job_id) for job_id in maybe_list(ids) or []}
        return {job["id"]: ["active", job] for job in running() if job["id"] in wanted}

    def reserved(_state: Any, **_kwargs: Any) -> Any:
        """Return what waits in this worker: nothing does, the ledger keeps it."""
        return []

    def shutdown(_state: Any, **_kwargs: Any) -> Any:
        """Drain and end this worker, as SIGTERM does."""
        os.kill(os.getpid(), signals.SIGTERM)
        return {"ok": "draining"}

    for command in (revoke, terminate, time_limit, rate_limit, active, query_task, reserved, shutdown):
        Panel.data[command.__name__] = command
    for name in REFUSED:
        Panel.data[name] = _refusing(name)


def _refusing(name: str) -> Any:
    def refuse(_state: Any, **_kwargs: Any) -> Any:
        return {"error": f"{name} is off: {REFUSED[name]}"}

    refuse.__name__ = name
    return refuse


def _seconds(value: Any) -> float | None:
    """Return a limit that may be set; None for anything else, such as NaN."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value) if value >= SHORTEST_LIMIT else None


def _cancel(app: Perdure, job_ids: list[str]) -> None:
    for job_id in job_ids:
        try:
            app.jobs.cancel(job_id, "revoked by remote control")
        except JobNotFound as error:
            logger.warning("revoke: %s", error)
