"""Workers whose heartbeats are late."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select

from perdure.ledger.now import now
from perdure.ledger.schema import workers
from perdure.ledger.workers.connection_lock import hung_up
from perdure.ledger.workers.register import LIVE, SILENCE
from perdure.model.worker_health import SUSPECT_AFTER

#: The lease of a live worker runs out unless it is heard from soon.
IS_SILENT = (workers.c.state.in_(LIVE), workers.c.heartbeat_at < now() - workers.c.lease_ttl * SUSPECT_AFTER)

_SILENT = (
    select(workers.c.id, workers.c.name, workers.c.state, workers.c.lease_ttl, SILENCE, hung_up().label("hung_up"))
    .where(*IS_SILENT)
    .order_by(workers.c.heartbeat_at)
    .limit(bindparam("page"))
)


@dataclass(frozen=True, slots=True)
class SilentWorker:
    """A live worker whose heartbeats are late.

    Attributes:
        id: The incarnation.
        name: The worker's name.
        state: Its state so far.
        lease_ttl: Seconds after which its lease is over.
        silence: Age of its last heartbeat, in seconds.
        hung_up: Whether the connection that it kept open has been closed.
    """

    id: str
    name: str
    state: str
    lease_ttl: float
    silence: float
    hung_up: bool


def silent(connection: Connection, page: int) -> list[SilentWorker]:
    """Return live workers whose heartbeats are late, the latest first."""
    return [SilentWorker(**row._mapping) for row in connection.execute(_SILENT, {"page": page})]
