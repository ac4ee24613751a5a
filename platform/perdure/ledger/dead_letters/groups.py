"""Groups of dead letters: one fault each, with its counts, times, trend and note."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from perdure.errors import DeadLetterNotFound
from perdure.ledger import direct
from perdure.ledger.dead_letters.writing import HOUR
from perdure.ledger.dialects import DIALECTS, NOW, one_of, texts
from perdure.model.clock import to_datetime
from perdure.model.dead_letter import STATUSES, Actor, DeadLetterGroup
from perdure.model.text.storable import MAX_REASON, storable, storable_name

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: Hours of a group's trend.
TREND_HOURS = 24

#: What the ledger has of a group: what its record has, but for what is worked out.
COLUMNS = tuple(name for name in DeadLetterGroup.__struct_fields__ if name not in ("count", "trend"))
_TIMES = ("first_seen", "last_seen", "noted_at", "regressed_at", "resolved_at")
_COUNT = " + ".join(STATUSES)
ORDERS = {"count": f"{_COUNT} DESC", "last_seen": "last_seen DESC", "first_seen": "first_seen DESC"}

_TRENDS = {
    dialect: "SELECT fingerprint, hour, count FROM perdure_dead_letter_hours "
    f"WHERE {one_of(dialect, 'fingerprint', 'fingerprints')} AND hour > :after"
    for dialect in DIALECTS
}
_ANNOTATE = {
    dialect: f"UPDATE perdure_dead_letter_groups SET note = :note, noted_by = :who, noted_at = {NOW[dialect]} "
    "WHERE fingerprint = :fingerprint RETURNING 1"
    for dialect in DIALECTS
}


def listing(
    connection: Where,
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
    dialect = connection.dialect.name
    of_faults = None if fingerprints is None else texts(dialect, fingerprints)
    filters = {"task": task, "error": error, "fingerprints": of_faults, "since": since, "open_only": open_only or None}
    given = {name: value for name, value in filters.items() if value is not None}
    rows = direct.rows(connection, _listing(dialect, order, *given), {**given, "most": limit})
    if not rows:
        return []
    trends = _trends(connection, [fingerprint for fingerprint, *_ in rows], rows[0][-1])
    return [of_row(row[:-1], trends[row[0]]) for row in rows]


def annotate(connection: Where, fingerprint: str, note: str | None, actor: Actor) -> None:
    """Set or remove a group's note.

    Raises:
        DeadLetterNotFound: There is no such group.
    """
    values = {"fingerprint": fingerprint, "note": storable(note, MAX_REASON), "who": storable_name(actor.who)}
    if not direct.rows(connection, _ANNOTATE[connection.dialect.name], values):
        raise DeadLetterNotFound(f"no dead letters of fault {fingerprint!r}. List the faults: perdure dead groups")


@cache
def _listing(dialect: str, order: str, *given: str) -> str:
    conditions = {
        "task": "task = :task",
        "error": "error_type = :error",
        "fingerprints": one_of(dialect, "fingerprint", "fingerprints"),
        "since": "last_seen >= :since",
        "open_only": "open > 0",
    }
    where = " AND ".join([f"{_COUNT} > 0", *(conditions[name] for name in given)])
    return f"""
        SELECT {", ".join(COLUMNS)}, {NOW[dialect]} FROM perdure_dead_letter_groups
        WHERE {where} ORDER BY {ORDERS[order]}, fingerprint LIMIT :most
    """


def _trends(connection: Where, fingerprints: Sequence[str], moment: float) -> dict[str, list[int]]:
    latest, dialect = int(moment // HOUR), connection.dialect.name
    trends = {fingerprint: [0] * TREND_HOURS for fingerprint in fingerprints}
    values = {"fingerprints": texts(dialect, fingerprints), "after": latest - TREND_HOURS}
    for fingerprint, hour, count in direct.rows(connection, _TRENDS[dialect], values):
        if hour <= latest:
            trends[fingerprint][hour - latest - 1] += count
    return trends


def of_row(row: Sequence[Any], trend: list[int]) -> DeadLetterGroup:
    """Return the group of a row of :data:`COLUMNS`."""
    values = dict(zip(COLUMNS, row, strict=True))
    times = {name: to_datetime(values[name]) for name in _TIMES}
    return DeadLetterGroup(count=sum(values[status] for status in STATUSES), trend=trend, **{**values, **times})
