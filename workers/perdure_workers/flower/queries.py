"""What the pages of breakers and workers show, and the JSON API of the same names. Read in threads."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from perdure.ledger.jobs.behind_breakers import waiting_behind
from perdure.model.worker_health import WorkerState

if TYPE_CHECKING:
    from perdure import Perdure

#: Rows of a list.
PAGE = 50


def breaker_list(app: Perdure) -> dict[str, Any]:
    """Return breakers, with the jobs that wait behind each, and failover groups; histories have the newest first."""
    return {
        "breakers": app.breakers.snapshots(),
        "changes": {name: app.breakers[name].history() for name in app.breakers},
        "behind": app.ledger.read(waiting_behind),
        "failover": [group.snapshot() for group in app.failover.values()],
        "switches": {name: group.records() for name, group in app.failover.items()},
        "now": datetime.now(UTC),
    }


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
