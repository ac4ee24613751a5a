"""The operations of primary-backup groups in their order, and how far each member has come.

The log is the truth: an operation counts when it is in it, and it gets there only under the group's newest epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, select, update

from perdure.ledger import counts
from perdure.ledger.conditions import insert_ignoring
from perdure.ledger.now import now
from perdure.ledger.schema import replication_groups as groups
from perdure.ledger.schema import replication_log as log
from perdure.ledger.schema import replication_members as members
from perdure.ledger.schema import replication_promotions as promotions
from perdure.model.clock import to_datetime
from perdure.model.metrics import FAILOVERS, Count
from perdure.model.replication import Fenced
from perdure.model.text.storable import MAX_REASON, storable, storable_name


@dataclass(frozen=True, slots=True)
class GroupState:
    """A group: who is primary since which epoch, why, and the number of the last operation in the log."""

    epoch: int
    primary: str
    sequence: int
    promoted_by: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An operation that counts. Texts are as stored, under the id of the job that ran it."""

    sequence: int
    epoch: int
    key: str
    job_id: str
    operation: str
    result: str


@dataclass(frozen=True, slots=True)
class MemberState:
    """A member: its last operation's number, and how often in a row it has failed."""

    applied: int
    failures: int


@dataclass(frozen=True, slots=True)
class Promotion:
    """A change of the primary.

    Attributes:
        group: Of which group.
        primary: Who is primary from then on.
        before: Who was.
        epoch: The epoch that began.
        by: Who promoted: a person, or ``failover``.
        reason: Why.
        at: When.
    """

    group: str
    primary: str
    before: str
    epoch: int
    by: str
    reason: str
    at: datetime | None


_GROUP = tuple(groups.c[name] for name in GroupState.__slots__)
_ENTRY = tuple(log.c[name] for name in LogEntry.__slots__)


def ensure(connection: Connection, name: str, member_names: Sequence[str]) -> None:
    """Write a group, the first member its primary, and its members, unless they are there."""
    dialect = connection.dialect.name
    first = {"name": name, "epoch": 1, "primary": member_names[0], "sequence": 0, "updated_at": now()}
    connection.execute(insert_ignoring(groups, dialect).values(**first))
    for member in member_names:
        connection.execute(insert_ignoring(members, dialect).values(group_name=name, member=member, applied=0))


def group(connection: Connection, name: str) -> GroupState:
    """Return a group that :func:`ensure` wrote."""
    return GroupState(*connection.execute(select(*_GROUP).where(groups.c.name == name)).one())


def member_states(connection: Connection, name: str) -> dict[str, MemberState]:
    """Return the members by their names."""
    columns = (members.c.member, members.c.applied, members.c.failures)
    rows = connection.execute(select(*columns).where(members.c.group_name == name))
    return {row.member: MemberState(row.applied, row.failures) for row in rows}


def failed(connection: Connection, name: str, member: str) -> int:
    """Count a failure of a member and return how many there were in a row."""
    counted = update(members).where(*_is(name, member)).values(failures=members.c.failures + 1)
    in_a_row: int = connection.execute(counted.returning(members.c.failures)).scalar_one()
    return in_a_row


def is_well(connection: Connection, name: str, member: str) -> None:
    """Forget a member's failures: it has just worked."""
    connection.execute(update(members).where(*_is(name, member), members.c.failures > 0).values(failures=0))


def take_turn(connection: Connection, name: str, interval: float) -> bool:
    """Return whether it is the caller's turn to check a group: once in ``interval`` seconds, of all that ask."""
    is_due = func.coalesce(groups.c.checked_at, 0.0) <= now() - interval
    taken = connection.execute(update(groups).where(groups.c.name == name, is_due).values(checked_at=now()))
    return taken.rowcount == 1


def entry_of(connection: Connection, name: str, key: str) -> LogEntry | None:
    """Return the operation of that key, or None when it does not count yet."""
    row = connection.execute(select(*_ENTRY).where(log.c.group_name == name, log.c.key == key)).one_or_none()
    return None if row is None else LogEntry(*row)


def entries_after(connection: Connection, name: str, sequence: int, page: int) -> list[LogEntry]:
    """Return the operations after a number, in their order, ``page`` at most."""
    query = select(*_ENTRY).where(log.c.group_name == name, log.c.sequence > sequence).order_by(log.c.sequence)
    return [LogEntry(*row) for row in connection.execute(query.limit(page))]


def record(connection: Connection, name: str, seen: GroupState, entry: LogEntry) -> None:
    """Append an operation that the primary has run, if nothing has changed since it looked at the group.

    Raises:
        Fenced: Another member was promoted, or another operation was recorded meanwhile; nothing was written.
    """
    still = (groups.c.name == name, groups.c.epoch == seen.epoch, groups.c.sequence == seen.sequence)
    if connection.execute(update(groups).where(*still).values(sequence=entry.sequence, updated_at=now())).rowcount == 0:
        is_now = group(connection, name)
        raise Fenced(
            f"operation {entry.key} of {seen.primary!r} in epoch {seen.epoch} of {name!r} does not count: "
            f"{is_now.primary!r} is the primary of epoch {is_now.epoch}, at operation {is_now.sequence}"
        )
    values = {field: getattr(entry, field) for field in LogEntry.__slots__}
    connection.execute(log.insert().values(group_name=name, recorded_at=now(), **values))
    advance(connection, name, seen.primary, entry.sequence)


def advance(connection: Connection, name: str, member: str, sequence: int) -> bool:
    """Note that a member has applied an operation; False when it was not the next one for it."""
    is_next = (*_is(name, member), members.c.applied == sequence - 1)
    return connection.execute(update(members).where(*is_next).values(applied=sequence, failures=0)).rowcount == 1


def synced(connection: Connection, name: str, member: str, sequence: int) -> None:
    """Note that a member was given the state after an operation by other means."""
    connection.execute(update(members).where(*_is(name, member)).values(applied=sequence))


def promote(connection: Connection, name: str, seen: GroupState, primary: str, by: str, reason: str) -> Promotion | None:
    """Begin the next epoch with a new primary and record it, in one transaction.

    Returns:
        None when the epoch that the caller has seen is over already; nothing was written then.
    """
    why = {"promoted_by": storable_name(by), "reason": storable(reason, MAX_REASON)}
    values = {"epoch": seen.epoch + 1, "primary": primary, **why}
    still = (groups.c.name == name, groups.c.epoch == seen.epoch)
    if connection.execute(update(groups).where(*still).values(**values, updated_at=now())).rowcount == 0:
        return None
    is_well(connection, name, primary)
    counts.add(connection, [Count(FAILOVERS.name, (name, seen.primary, primary), 1)])
    record = promotions.insert().values(group_name=name, before=seen.primary, **values, at=now(), tell_at=now())
    return _promotion(connection.execute(record.returning(*promotions.c)).one())


def promotions_of(connection: Connection, name: str, limit: int) -> list[Promotion]:
    """Return a group's promotions, the newest first."""
    query = select(promotions).where(promotions.c.group_name == name).order_by(promotions.c.epoch.desc())
    return [_promotion(row) for row in connection.execute(query.limit(limit))]


def take_untold(connection: Connection, name: str, again_in: float) -> list[Promotion]:
    """Return the promotions that hooks are to be told of now, and to nobody else for so many seconds."""
    is_due = (promotions.c.group_name == name, promotions.c.tell_at <= now())
    taken = update(promotions).where(*is_due).values(tell_at=now() + again_in).returning(*promotions.c)
    return sorted(map(_promotion, connection.execute(taken)), key=lambda promotion: promotion.epoch)


def told(connection: Connection, name: str, epoch: int) -> None:
    """Note that all hooks were told of a promotion."""
    which = (promotions.c.group_name == name, promotions.c.epoch == epoch)
    connection.execute(update(promotions).where(*which).values(tell_at=None))


def forget(connection: Connection, name: str, keep: int) -> int:
    """Delete operations that all members have applied, but for the last ``keep``, and return how many."""
    everywhere = select(func.min(members.c.applied)).where(members.c.group_name == name).scalar_subquery()
    old = (log.c.group_name == name, log.c.sequence <= everywhere - keep)
    return connection.execute(delete(log).where(*old)).rowcount


def _is(name: str, member: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return members.c.group_name == name, members.c.member == member


def _promotion(row: Any) -> Promotion:
    same = {field: getattr(row, field) for field in ("primary", "before", "epoch", "reason")}
    return Promotion(row.group_name, by=row.promoted_by, at=to_datetime(row.at), **same)
