"""Workers whose heartbeats are late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, NOW
from perdure.ledger.workers.connection_lock import HUNG_UP
from perdure.ledger.workers.register import IS_LIVE, SILENCE
from perdure.model.worker_health import SUSPECT_AFTER

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: The lease of a live worker runs out unless it is heard from soon.
IS_SILENT = {dialect: f"{IS_LIVE} AND heartbeat_at < {NOW[dialect]} - lease_ttl * {SUSPECT_AFTER}" for dialect in DIALECTS}

_SILENT = {
    dialect: f"""
    SELECT id, name, state, lease_ttl, {SILENCE[dialect]}, {HUNG_UP[dialect]} FROM perdure_workers
    WHERE {IS_SILENT[dialect]} ORDER BY heartbeat_at LIMIT :page
    """
    for dialect in DIALECTS
}


class SilentWorker(Struct, frozen=True):
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


def silent(connection: Where, page: int) -> list[SilentWorker]:
    """Return live workers whose heartbeats are late, the latest first."""
    rows = direct.rows(connection, _SILENT[connection.dialect.name], {"page": page})
    return [SilentWorker(*(*same, bool(hung_up))) for *same, hung_up in rows]
