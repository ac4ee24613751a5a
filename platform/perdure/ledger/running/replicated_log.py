"""The operations of primary-backup groups in their order, and how far each member has come.

The log is the truth: an operation counts when it is in it, and it gets there only under the group's newest epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select, update

from perdure.ledger.conditions import insert_ignoring
from perdure.ledger.now import now
from perdure.ledger.schema import replication_groups as groups
from perdure.ledger.schema import replication_log as log
from perdure.ledger.schema import replication_members as members
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


def applied(connection: Connection, name: str) -> dict[str, int]:
    """Return the number of the last operation that each member has applied."""
    rows = connection.execute(select(members.c.member, members.c.applied).where(members.c.group_name == name))
    return {row.member: row.applied for row in rows}


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
    is_next = (members.c.group_name == name, members.c.member == member, members.c.applied == sequence - 1)
    return connection.execute(update(members).where(*is_next).values(applied=sequence)).rowcount == 1


def synced(connection: Connection, name: str, member: str, sequence: int) -> None:
    """Note that a member was given the state after an operation by other means."""
    who = (members.c.group_name == name, members.c.member == member)
    connection.execute(update(members).where(*who).values(applied=sequence))


def promote(connection: Connection, name: str, epoch: int, primary: str, by: str, reason: str) -> bool:
    """Begin the next epoch with a new primary, unless ``epoch`` is over already; return whether this call did it."""
    values = {"epoch": epoch + 1, "primary": primary, "updated_at": now()}
    why = {"promoted_by": storable_name(by), "reason": storable(reason, MAX_REASON)}
    still = (groups.c.name == name, groups.c.epoch == epoch)
    return connection.execute(update(groups).where(*still).values(**values, **why)).rowcount == 1


def forget(connection: Connection, name: str, keep: int) -> int:
    """Delete operations that all members have applied, but for the last ``keep``, and return how many."""
    everywhere = select(func.min(members.c.applied)).where(members.c.group_name == name).scalar_subquery()
    old = (log.c.group_name == name, log.c.sequence <= everywhere - keep)
    return connection.execute(delete(log).where(*old)).rowcount
