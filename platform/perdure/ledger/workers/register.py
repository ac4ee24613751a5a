"""Worker incarnations: one row each, renewed by heartbeats. A row is the lease of every job that its worker runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from perdure.ledger import counts, direct
from perdure.ledger.dialects import DIALECTS, FOR_UPDATE, HOT, NOW
from perdure.ledger.running.claims import RUNS
from perdure.ledger.workers.events import last_state_of, record
from perdure.ledger.workers.verdicts import UNFIT, votes_lost
from perdure.model.clock import to_datetime
from perdure.model.metrics import WORKER_FAILURES, Count
from perdure.model.records import WorkerRecord
from perdure.model.worker_health import WorkerEvent, WorkerState

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

HEALTHY, SUSPECT, FAILED, GONE = (state.value for state in WorkerState)
LIVE = (HEALTHY, SUSPECT)

#: As the partial index has it.
IS_LIVE = f"state IN ('{HEALTHY}', '{SUSPECT}')"
#: Age of a worker's last heartbeat, in seconds.
SILENCE = {dialect: f"{NOW[dialect]} - heartbeat_at" for dialect in DIALECTS}
#: Those of a host, the parameter ``on_host``, that keep a file locked.
IS_NEIGHBOUR = f"{IS_LIVE} AND host = :on_host AND lock_path IS NOT NULL"

_BEAT = {
    dialect: f"UPDATE perdure_workers SET heartbeat_at = {NOW[dialect]} WHERE id = :of_worker AND {IS_LIVE} RETURNING state"
    for dialect in DIALECTS
}
_NEIGHBOURS = f"SELECT id, name, lock_path FROM perdure_workers WHERE {IS_NEIGHBOUR}"
_LOCKED = {
    dialect: f"""
    SELECT id, name, bulkhead, state, {SILENCE[dialect]} FROM perdure_workers WHERE id = :of_worker {FOR_UPDATE[dialect]}
    """
    for dialect in DIALECTS
}
#: What a worker says of itself.
_GIVEN = ("id", "name", "bulkhead", "host", "pid", "concurrency", "lease_ttl", "lock_path")
_INSERT = {
    dialect: f"""
    INSERT INTO perdure_workers ({", ".join(_GIVEN)}, state, draining, started_at, heartbeat_at, state_changed_at)
    VALUES ({", ".join(f":{name}" for name in _GIVEN)}, '{HEALTHY}', FALSE, {", ".join([NOW[dialect]] * 3)})
    """
    for dialect in DIALECTS
}
_DRAIN = "UPDATE perdure_workers SET draining = TRUE WHERE id = :of_worker"
_CHANGE = {
    dialect: f"""
    UPDATE perdure_workers SET state = :target, state_reason = :reason, state_changed_at = {NOW[dialect]}
    WHERE id = :of_worker
    """
    for dialect in DIALECTS
}


def _listing(dialect: str, where: str = "") -> str:
    running = f"SELECT count(*) FROM {HOT[dialect]} WHERE {RUNS} AND worker_id = perdure_workers.id"
    return f"""
    SELECT id, name, bulkhead, host, pid, concurrency, state, draining, started_at, heartbeat_at, {SILENCE[dialect]},
        ({running}), {votes_lost("perdure_workers.name")}, {UNFIT}
    FROM perdure_workers {where} ORDER BY name, started_at
    """


_LISTING = {dialect: _listing(dialect) for dialect in DIALECTS}
_LISTING_OF_LIVE = {dialect: _listing(dialect, f"WHERE {IS_LIVE}") for dialect in DIALECTS}


class Neighbour(Struct, frozen=True):
    """A live worker of one host, and the file that its main process keeps locked for its life."""

    id: str
    name: str
    lock_path: str


def register(connection: Where, worker: Mapping[str, Any]) -> WorkerEvent | None:
    """Write a new incarnation's row and return the event; None when it is a repeat after an unknown commit."""
    dialect = connection.dialect.name
    if direct.rows(connection, _LOCKED[dialect], {"of_worker": worker["id"]}):
        return None
    before = last_state_of(connection, worker["name"])
    direct.run(connection, _INSERT[dialect], worker)
    back = before == FAILED
    reason = "a new incarnation of a worker that had failed" if back else "started"
    names = (worker["id"], worker["name"], worker["bulkhead"])
    return record(connection, *names, source=FAILED if back else None, target=HEALTHY, reason=reason, silence=None)


def beat(connection: Where, worker_id: str) -> str | None:
    """Renew a lease and return the worker's state; None when the lease is lost: the worker was declared failed."""
    state: str | None
    [(state,)] = direct.rows(connection, _BEAT[connection.dialect.name], {"of_worker": worker_id}) or [(None,)]
    return state


def set_draining(connection: Where, worker_id: str) -> None:
    """Note that a worker takes no more jobs."""
    direct.run(connection, _DRAIN, {"of_worker": worker_id})


def change_state(connection: Where, worker_id: str, target: str, reason: str) -> WorkerEvent | None:
    """Move a live worker to another state; return the event, or None when it is not live or is in that state.

    Args:
        connection: A connection in a transaction.
        worker_id: The incarnation.
        target: The state to be in.
        reason: Why, in words.
    """
    dialect, of_worker = connection.dialect.name, {"of_worker": worker_id}
    for *names, state, silence in direct.rows(connection, _LOCKED[dialect], of_worker):
        if state not in LIVE or state == target:
            return None
        direct.run(connection, _CHANGE[dialect], {**of_worker, "target": target, "reason": reason})
        if target == FAILED:
            counts.add(connection, [Count(WORKER_FAILURES.name, (names[-1],), 1)])
        return record(connection, *names, source=state, target=target, reason=reason, silence=silence)
    return None


def neighbours(connection: Where, host: str) -> list[Neighbour]:
    """Return the live workers of a host that keep a file locked."""
    return [Neighbour(*row) for row in direct.rows(connection, _NEIGHBOURS, {"on_host": host})]


def listing(connection: Where, *, all_states: bool = False) -> list[WorkerRecord]:
    """Return the live workers, or all that the ledger remembers, by name."""
    statements = _LISTING if all_states else _LISTING_OF_LIVE
    return [_record(row) for row in direct.rows(connection, statements[connection.dialect.name], {})]


def _record(row: Sequence[Any]) -> WorkerRecord:
    *same, draining, started_at, heartbeat_at, silence, running, outvoted, unfit = row
    of_lease = (bool(draining), to_datetime(started_at), to_datetime(heartbeat_at), silence, running, outvoted)
    barred = False  # the application says from how many lost votes on
    return WorkerRecord(*(*same, *of_lease, barred, unfit))
