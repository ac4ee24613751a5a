"""The operations of primary-backup groups in their order, and how far each member has come.

The log is the truth: an operation counts when it is in it, and it gets there only under the group's newest epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from perdure.ledger import counts, direct
from perdure.ledger.dialects import DIALECTS, NOW
from perdure.model.clock import to_datetime
from perdure.model.metrics import FAILOVERS, Count
from perdure.model.replication import Fenced
from perdure.model.text.storable import MAX_REASON, storable, storable_name

if TYPE_CHECKING:
    from perdure.ledger.direct import Where


class GroupState(Struct, frozen=True):
    """A group: who is primary since which epoch, why, and the number of the last operation in the log."""

    epoch: int
    primary: str
    sequence: int
    promoted_by: str | None = None
    reason: str | None = None


class LogEntry(Struct, frozen=True):
    """An operation that counts. Texts are as stored, under the id of the job that ran it."""

    sequence: int
    epoch: int
    key: str
    job_id: str
    operation: str
    result: str


class MemberState(Struct, frozen=True):
    """A member: its last operation's number, and how often in a row it has failed."""

    applied: int
    failures: int


class Promotion(Struct, frozen=True):
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


_GROUP = """
    SELECT epoch, "primary", sequence, promoted_by, reason FROM perdure_replication_groups WHERE name = :of_group
"""
_ENSURE_GROUP = {
    dialect: f"""
    INSERT INTO perdure_replication_groups (name, epoch, "primary", sequence, updated_at)
    VALUES (:of_group, 1, :first, 0, {NOW[dialect]}) ON CONFLICT DO NOTHING
    """
    for dialect in DIALECTS
}
_TAKE_TURN = {
    dialect: f"""
    UPDATE perdure_replication_groups SET checked_at = {NOW[dialect]}
    WHERE name = :of_group AND coalesce(checked_at, 0) <= {NOW[dialect]} - :interval RETURNING name
    """
    for dialect in DIALECTS
}
_MOVE_ON = {
    dialect: f"""
    UPDATE perdure_replication_groups SET sequence = :sequence, updated_at = {NOW[dialect]}
    WHERE name = :of_group AND epoch = :seen_epoch AND sequence = :seen_sequence RETURNING name
    """
    for dialect in DIALECTS
}
_BEGIN_EPOCH = {
    dialect: f"""
    UPDATE perdure_replication_groups
    SET epoch = :epoch, "primary" = :chosen, promoted_by = :by, reason = :why, updated_at = {NOW[dialect]}
    WHERE name = :of_group AND epoch = :seen_epoch RETURNING name
    """
    for dialect in DIALECTS
}

_MEMBERS = "SELECT member, applied, failures FROM perdure_replication_members WHERE group_name = :of_group"
_ENSURE_MEMBER = """
    INSERT INTO perdure_replication_members (group_name, member, applied, failures) VALUES (:of_group, :of_member, 0, 0)
    ON CONFLICT DO NOTHING
"""
_OF_MEMBER = "group_name = :of_group AND member = :of_member"
_FAILED = f"UPDATE perdure_replication_members SET failures = failures + 1 WHERE {_OF_MEMBER} RETURNING failures"
_IS_WELL = f"UPDATE perdure_replication_members SET failures = 0 WHERE {_OF_MEMBER} AND failures > 0"
_ADVANCE = f"""
    UPDATE perdure_replication_members SET applied = :sequence, failures = 0
    WHERE {_OF_MEMBER} AND applied = :sequence - 1 RETURNING member
"""
_SYNCED = f"UPDATE perdure_replication_members SET applied = :sequence WHERE {_OF_MEMBER}"

_ENTRY = "SELECT sequence, epoch, key, job_id, operation, result FROM perdure_replication_log WHERE group_name = :of_group"
_ENTRY_OF = f"{_ENTRY} AND key = :of_key"
_ENTRIES_AFTER = f"{_ENTRY} AND sequence > :after ORDER BY sequence LIMIT :page"
_RECORD = {
    dialect: f"""
    INSERT INTO perdure_replication_log (group_name, sequence, epoch, key, job_id, operation, result, recorded_at)
    VALUES (:of_group, :sequence, :epoch, :key, :job_id, :operation, :result, {NOW[dialect]})
    """
    for dialect in DIALECTS
}
_FORGET = """
    DELETE FROM perdure_replication_log WHERE group_name = :of_group AND sequence <= (
        SELECT min(applied) FROM perdure_replication_members WHERE group_name = :of_group
    ) - :keep RETURNING sequence
"""

#: In the order of the fields of :class:`Promotion`.
_PROMOTION = 'group_name, "primary", "before", epoch, promoted_by, reason, at'
_PROMOTE = {
    dialect: f"""
    INSERT INTO perdure_replication_promotions ({_PROMOTION}, tell_at)
    VALUES (:of_group, :chosen, :before, :epoch, :by, :why, {NOW[dialect]}, {NOW[dialect]}) RETURNING {_PROMOTION}
    """
    for dialect in DIALECTS
}
_PROMOTIONS = f"""
    SELECT {_PROMOTION} FROM perdure_replication_promotions WHERE group_name = :of_group ORDER BY epoch DESC LIMIT :most
"""
_TAKE_UNTOLD = {
    dialect: f"""
    UPDATE perdure_replication_promotions SET tell_at = {NOW[dialect]} + :again_in
    WHERE group_name = :of_group AND tell_at <= {NOW[dialect]} RETURNING {_PROMOTION}
    """
    for dialect in DIALECTS
}
_TOLD = "UPDATE perdure_replication_promotions SET tell_at = NULL WHERE group_name = :of_group AND epoch = :epoch"


def ensure(connection: Where, name: str, member_names: Sequence[str]) -> None:
    """Write a group, the first member its primary, and its members, unless they are there."""
    first = {"of_group": name, "first": member_names[0]}
    direct.run(connection, _ENSURE_GROUP[connection.dialect.name], first)
    for member in member_names:
        direct.run(connection, _ENSURE_MEMBER, _is(name, member))


def group(connection: Where, name: str) -> GroupState:
    """Return a group that :func:`ensure` wrote."""
    [row] = direct.rows(connection, _GROUP, {"of_group": name})
    return GroupState(*row)


def member_states(connection: Where, name: str) -> dict[str, MemberState]:
    """Return the members by their names."""
    rows = direct.rows(connection, _MEMBERS, {"of_group": name})
    return {member: MemberState(applied, failures) for member, applied, failures in rows}


def failed(connection: Where, name: str, member: str) -> int:
    """Count a failure of a member and return how many there were in a row."""
    [(in_a_row,)] = direct.rows(connection, _FAILED, _is(name, member))
    return int(in_a_row)


def is_well(connection: Where, name: str, member: str) -> None:
    """Forget a member's failures: it has just worked."""
    direct.run(connection, _IS_WELL, _is(name, member))


def take_turn(connection: Where, name: str, interval: float) -> bool:
    """Return whether it is the caller's turn to check a group: once in ``interval`` seconds, of all that ask."""
    values = {"of_group": name, "interval": interval}
    return bool(direct.rows(connection, _TAKE_TURN[connection.dialect.name], values))


def entry_of(connection: Where, name: str, key: str) -> LogEntry | None:
    """Return the operation of that key, or None when it does not count yet."""
    found = direct.rows(connection, _ENTRY_OF, {"of_group": name, "of_key": key})
    return LogEntry(*found[0]) if found else None


def entries_after(connection: Where, name: str, sequence: int, page: int) -> list[LogEntry]:
    """Return the operations after a number, in their order, ``page`` at most."""
    values = {"of_group": name, "after": sequence, "page": page}
    return [LogEntry(*row) for row in direct.rows(connection, _ENTRIES_AFTER, values)]


def record(connection: Where, name: str, seen: GroupState, entry: LogEntry) -> None:
    """Append an operation that the primary has run, if nothing has changed since it looked at the group.

    Raises:
        Fenced: Another member was promoted, or another operation was recorded meanwhile; nothing was written.
    """
    dialect = connection.dialect.name
    onward = {
        "of_group": name,
        "seen_epoch": seen.epoch,
        "seen_sequence": seen.sequence,
        "sequence": entry.sequence,
    }
    if not direct.rows(connection, _MOVE_ON[dialect], onward):
        is_now = group(connection, name)
        raise Fenced(
            f"operation {entry.key} of {seen.primary!r} in epoch {seen.epoch} of {name!r} does not count: "
            f"{is_now.primary!r} is the primary of epoch {is_now.epoch}, at operation {is_now.sequence}"
        )
    values = {field: getattr(entry, field) for field in LogEntry.__struct_fields__}
    direct.run(connection, _RECORD[dialect], {"of_group": name, **values})
    advance(connection, name, seen.primary, entry.sequence)


def advance(connection: Where, name: str, member: str, sequence: int) -> bool:
    """Note that a member has applied an operation; False when it was not the next one for it."""
    return bool(direct.rows(connection, _ADVANCE, {**_is(name, member), "sequence": sequence}))


def synced(connection: Where, name: str, member: str, sequence: int) -> None:
    """Note that a member was given the state after an operation by other means."""
    direct.run(connection, _SYNCED, {**_is(name, member), "sequence": sequence})


def promote(connection: Where, name: str, seen: GroupState, primary: str, by: str, reason: str) -> Promotion | None:
    """Begin the next epoch with a new primary and record it, in one transaction.

    Returns:
        None when the epoch that the caller has seen is over already; nothing was written then.
    """
    dialect, why = connection.dialect.name, {"by": storable_name(by), "why": storable(reason, MAX_REASON)}
    values = {"of_group": name, "epoch": seen.epoch + 1, "chosen": primary, **why}
    if not direct.rows(connection, _BEGIN_EPOCH[dialect], {**values, "seen_epoch": seen.epoch}):
        return None
    is_well(connection, name, primary)
    counts.add(connection, [Count(FAILOVERS.name, (name, seen.primary, primary), 1)])
    [row] = direct.rows(connection, _PROMOTE[dialect], {**values, "before": seen.primary})
    return _promotion(row)


def promotions_of(connection: Where, name: str, limit: int) -> list[Promotion]:
    """Return a group's promotions, the newest first."""
    return [_promotion(row) for row in direct.rows(connection, _PROMOTIONS, {"of_group": name, "most": limit})]


def take_untold(connection: Where, name: str, again_in: float) -> list[Promotion]:
    """Return the promotions that hooks are to be told of now, and to nobody else for so many seconds."""
    taken = direct.rows(connection, _TAKE_UNTOLD[connection.dialect.name], {"of_group": name, "again_in": again_in})
    return sorted(map(_promotion, taken), key=lambda promotion: promotion.epoch)


def told(connection: Where, name: str, epoch: int) -> None:
    """Note that all hooks were told of a promotion."""
    direct.run(connection, _TOLD, {"of_group": name, "epoch": epoch})


def forget(connection: Where, name: str, keep: int) -> int:
    """Delete operations that all members have applied, but for the last ``keep``, and return how many."""
    return len(direct.rows(connection, _FORGET, {"of_group": name, "keep": keep}))


def _is(name: str, member: str) -> dict[str, str]:
    return {"of_group": name, "of_member": member}


def _promotion(row: Any) -> Promotion:
    name, primary, before, epoch, by, reason, at = row
    return Promotion(name, primary, before, epoch, by, reason, to_datetime(at))
