"""Groups of dead letters: one fault each, with its counts, times, trend and note."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from perdure.errors import DeadLetterNotFound
from perdure.ledger.dead_letters.writing import HOUR
from perdure.ledger.now import now
from perdure.ledger.schema import dead_letter_groups, dead_letter_hours
from perdure.model.clock import to_datetime
from perdure.model.dead_letter import STATUSES, Actor, DeadLetterGroup
from perdure.model.text.storable import MAX_REASON, storable, storable_name

#: Hours of a group's trend.
TREND_HOURS = 24

_C = dead_letter_groups.c
_COUNT = _C.open + _C.replayed + _C.discarded
ORDERS = {"count": _COUNT.desc(), "last_seen": _C.last_seen.desc(), "first_seen": _C.first_seen.desc()}


def listing(
    connection: Connection,
    *,
    task: str | None = None,
    error: str | None = None,
    fingerprints: Sequence[str] | None = None,
    since: float | None = None,
    open_only: bool = False,
    order: str = "count",
    limit: int = 100,
) -> list[DeadLetterGroup]:
    """Return groups that have letters; the parameters are those of ``app.dead_letters.groups``."""
    query = select(dead_letter_groups, now().label("now")).where(_COUNT > 0)
    for name, value in {"task": task, "error_type": error}.items():
        if value is not None:
            query = query.where(_C[name] == value)
    if fingerprints is not None:
        query = query.where(_C.fingerprint.in_(fingerprints))
    if since is not None:
        query = query.where(_C.last_seen >= since)
    if open_only:
        query = query.where(_C.open > 0)
    rows = [row._mapping for row in connection.execute(query.order_by(ORDERS[order], _C.fingerprint).limit(limit))]
    trends = _trends(connection, [row["fingerprint"] for row in rows], rows[0]["now"]) if rows else {}
    return [_group(row, trends[row["fingerprint"]]) for row in rows]


def annotate(connection: Connection, fingerprint: str, note: str | None, actor: Actor) -> None:
    """Set or remove a group's note.

    Raises:
        DeadLetterNotFound: There is no such group.
    """
    values = {"note": storable(note, MAX_REASON), "noted_by": storable_name(actor.who), "noted_at": now()}
    changed = connection.execute(update(dead_letter_groups).where(_C.fingerprint == fingerprint).values(values))
    if changed.rowcount == 0:
        raise DeadLetterNotFound(f"no dead letters of fault {fingerprint!r}. List the faults: perdure dead groups")


def _trends(connection: Connection, fingerprints: Sequence[str], moment: float) -> dict[str, list[int]]:
    latest = int(moment // HOUR)
    trends = {fingerprint: [0] * TREND_HOURS for fingerprint in fingerprints}
    c = dead_letter_hours.c
    query = select(dead_letter_hours).where(c.fingerprint.in_(fingerprints), c.hour > latest - TREND_HOURS)
    for row in connection.execute(query):
        if row.hour <= latest:
            trends[row.fingerprint][row.hour - latest - 1] += row.count
    return trends


def _group(row: Mapping[Any, Any], trend: list[int]) -> DeadLetterGroup:
    same = ("fingerprint", "task", "reason", "error_type", "error", *STATUSES, "seen", "boomerangs", "note", "noted_by")
    back = ("regressions", "regressed_in", "resolved_in")
    times = ("first_seen", "last_seen", "noted_at", "regressed_at", "resolved_at")
    return DeadLetterGroup(
        count=sum(row[status] for status in STATUSES),
        trend=trend,
        **({name: row[name] for name in (*same, *back)} | {name: to_datetime(row[name]) for name in times}),
    )


def of_row(row: Any) -> DeadLetterGroup:
    """Return the group of a row of the table, without its trend."""
    return _group(row._mapping, [])
