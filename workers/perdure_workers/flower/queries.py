"""What the pages of breakers and workers show, and the JSON API of the same names. Read in threads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from perdure.ledger.jobs.behind_breakers import waiting_behind
from perdure.model.metrics import FALLBACK, SERVICE_CALLS
from perdure.model.worker_health import WorkerState

if TYPE_CHECKING:
    from perdure import Perdure

#: Rows of a list, and of a history in a card.
PAGE, SHOWN = 50, 8


@dataclass(frozen=True, slots=True)
class ServiceView:
    """What has become of the calls of a service in jobs.

    Attributes:
        name: The service.
        outcomes: How many calls ended how: ok, degraded, failed, refused.
        levels: How many were served by what: primary, a secondary, cached or default.
    """

    name: str
    outcomes: dict[str, int]
    levels: dict[str, int]


def service_views(app: Perdure) -> list[ServiceView]:
    """Return the services that jobs have called, as processes have counted it in the ledger."""
    found: dict[str, ServiceView] = {}
    for one in app.ledger.counts().counts:
        if one.name in (SERVICE_CALLS.name, FALLBACK.name):
            service, what = one.labels
            view = found.setdefault(service, ServiceView(service, {}, {}))
            counted = view.outcomes if one.name == SERVICE_CALLS.name else view.levels
            counted[what] = counted.get(what, 0) + one.count
    return [found[name] for name in sorted(found)]


def breaker_list(app: Perdure) -> dict[str, Any]:
    """Return breakers, with the jobs that wait behind each, services, and groups; histories have the newest first."""
    return {
        "breakers": app.breakers.snapshots(),
        "changes": {name: app.breakers[name].history() for name in app.breakers},
        "behind": app.ledger.read(waiting_behind),
        "failover": [group.snapshot() for group in app.failover.values()],
        "switches": {name: group.records() for name, group in app.failover.items()},
        "services": service_views(app),
        "groups": [group.snapshot() for _, group in sorted(app.groups.items())],
        "promotions": {name: group.promotions(limit=SHOWN) for name, group in app.groups.items()},
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
