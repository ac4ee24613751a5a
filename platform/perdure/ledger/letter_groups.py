"""Groups of dead letters: the faults, how often each was seen, and what people know of them.

Counts are kept by the hour when a letter is written, so that listing the groups reads a few rows and not all letters.
They say how often a fault was *seen*: letters that were purged since are in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from perdure.clock import to_datetime
from perdure.ledger.conditions import insert_ignoring
from perdure.ledger.now import now, this_hour
from perdure.ledger.schema import dead_letter_groups, dead_letter_hours, dead_letters
from perdure.ledger.text import MAX_REASON, storable, storable_name

#: Hours of a group's trend.
TREND_HOURS = 24


@dataclass(frozen=True, slots=True)
class DeadLetterGroup:
    """Dead letters of the same fault.

    Attributes:
        fingerprint: The fault.
        task: The task that it was seen in first.
        error_type: Its exception's type.
        error: The message of its first letter.
        count: How often it was seen.
        open: Letters of it that wait for somebody.
        boomerangs: Replays that failed with it.
        first_seen: When it was seen first.
        last_seen: When it was seen last.
        trend: How often it was seen in each of the last 24 hours, the current one last.
        note: What people know of it.
        noted_by: Who wrote that.
    """

    fingerprint: str
    task: str
    error_type: str | None
    error: str | None
    count: int
    open: int
    boomerangs: int
    first_seen: datetime | None
    last_seen: datetime | None
    trend: list[int]
    note: str | None
    noted_by: str | None


@dataclass(frozen=True, slots=True)
class Seen:
    """How often a group was seen, and what of that was noticed before."""

    fingerprint: str
    task: str
    error_type: str | None
    error: str | None
    count: int
    boomerangs: int
    noticed: int
    noticed_boomerangs: int
    grown_at: int


def seen(connection: Connection, letter: Mapping[str, Any]) -> None:
    """Count a letter that was just written; ``letter`` has its columns."""
    dialect = connection.dialect.name
    group = {name: letter.get(name) for name in ("fingerprint", "task", "error_type", "error")}
    connection.execute(insert_ignoring(dead_letter_groups, dialect).values(**group, first_seen=now()))
    insert = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(dead_letter_hours)
    boomerang = int(letter.get("replay_of") is not None)
    hour = insert.values(
        fingerprint=letter["fingerprint"], hour=this_hour(), count=1, boomerangs=boomerang, last_seen=now()
    )
    more = {"count": dead_letter_hours.c["count"] + 1, "boomerangs": dead_letter_hours.c.boomerangs + boomerang}
    connection.execute(
        hour.on_conflict_do_update(index_elements=["fingerprint", "hour"], set_={**more, "last_seen": now()})
    )


def listing(connection: Connection, limit: int) -> list[DeadLetterGroup]:
    """Return the faults that were seen most often, with their counts, times, trends and notes."""
    hours, groups = dead_letter_hours.c, dead_letter_groups.c
    count = func.sum(hours["count"]).label("count")
    totals = (
        select(
            hours.fingerprint,
            count,
            func.sum(hours.boomerangs).label("boomerangs"),
            func.max(hours.last_seen).label("last_seen"),
        )
        .group_by(hours.fingerprint)
        .order_by(count.desc(), hours.fingerprint)
        .limit(limit)
        .subquery()
    )
    wanted = (groups.task, groups.error_type, groups.error, groups.first_seen, groups.note, groups.noted_by)
    query = (
        select(totals, *wanted, this_hour().label("hour"))
        .join(dead_letter_groups, groups.fingerprint == totals.c.fingerprint)
        .order_by(totals.c["count"].desc(), totals.c.fingerprint)
    )
    rows = connection.execute(query).all()
    return [_group(connection, row) for row in rows]


def note(connection: Connection, fingerprint: str, text: str, by: str) -> bool:
    """Write what is known of a fault; False when it was never seen."""
    values = {"note": storable(text, MAX_REASON), "noted_by": storable_name(by), "noted_at": now()}
    written = update(dead_letter_groups).where(dead_letter_groups.c.fingerprint == fingerprint).values(**values)
    return connection.execute(written).rowcount == 1


def note_of(connection: Connection, fingerprint: str) -> str | None:
    """Return what is known of a fault."""
    query = select(dead_letter_groups.c.note).where(dead_letter_groups.c.fingerprint == fingerprint)
    found: str | None = connection.execute(query).scalar_one_or_none()
    return found


def unnoticed(connection: Connection) -> list[Seen]:
    """Return the groups that were seen more often than the hooks have been told."""
    hours, groups = dead_letter_hours.c, dead_letter_groups.c
    count, boomerangs = func.sum(hours["count"]).label("count"), func.sum(hours.boomerangs).label("boomerangs")
    totals = select(hours.fingerprint, count, boomerangs).group_by(hours.fingerprint).subquery()
    names = ("fingerprint", "task", "error_type", "error", "noticed", "noticed_boomerangs", "grown_at")
    query = (
        select(*(groups[name] for name in names), totals.c["count"], totals.c.boomerangs)
        .join(totals, totals.c.fingerprint == groups.fingerprint)
        .where(totals.c["count"] > groups.noticed)
    )
    return [_seen(row) for row in connection.execute(query)]


_NOTICE = (
    update(dead_letter_groups)
    .where(
        dead_letter_groups.c.fingerprint == bindparam("of_fingerprint"),
        dead_letter_groups.c.noticed == bindparam("before"),
    )
    .values(noticed=bindparam("to_count"), noticed_boomerangs=bindparam("to_boomerangs"), grown_at=bindparam("to_grown_at"))
)


def notice(connection: Connection, group: Seen, grown_at: int) -> bool:
    """Note that the hooks are told of a group; False when another process was first."""
    values = {"of_fingerprint": group.fingerprint, "before": group.noticed, "to_count": group.count}
    more = {"to_boomerangs": group.boomerangs, "to_grown_at": grown_at}
    return connection.execute(_NOTICE, values | more).rowcount == 1


def _seen(row: Any) -> Seen:
    values: dict[str, Any] = dict(row._mapping)
    return Seen(
        **(values | {name: int(values[name]) for name in ("count", "boomerangs")})
    )  # PostgreSQL's sums are Decimals


def _group(connection: Connection, row: Any) -> DeadLetterGroup:
    hours, letters = dead_letter_hours.c, dead_letters.c
    first_hour = row.hour - TREND_HOURS + 1
    query = select(hours.hour, hours["count"]).where(hours.fingerprint == row.fingerprint, hours.hour >= first_hour)
    trend: dict[int, int] = {row.hour: row._mapping["count"] for row in connection.execute(query)}
    waiting = select(func.count()).where(letters.fingerprint == row.fingerprint, letters.status == "open")
    same = {name: getattr(row, name) for name in ("fingerprint", "task", "error_type", "error", "note", "noted_by")}
    return DeadLetterGroup(
        **same,
        count=int(row._mapping["count"]),
        open=connection.execute(waiting).scalar_one(),
        boomerangs=int(row.boomerangs),
        first_seen=to_datetime(row.first_seen),
        last_seen=to_datetime(row.last_seen),
        trend=[trend.get(first_hour + hour, 0) for hour in range(TREND_HOURS)],
    )
