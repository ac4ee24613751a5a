"""Taking note of faults that changed: each change is taken by one supervisor, whichever is first."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, literal_column, select, update

from perdure.ledger.dead_letters.groups import of_row
from perdure.ledger.schema import dead_letter_groups
from perdure.model.dead_letter_notices import DeadLetterNotice, NoticeKind, notices_of

_C = dead_letter_groups.c
#: As the partial index has it.
IS_CHANGED: ColumnElement[bool] = literal_column("changed")


def take(connection: Connection, page: int) -> list[DeadLetterNotice]:
    """Return what there is to tell of a page of faults that changed, which are then taken as told of.

    They are told of once, by whoever takes them; if that process dies first, the next change of the fault is told of.
    """
    query = select(dead_letter_groups).where(IS_CHANGED).limit(page).with_for_update(skip_locked=True)
    notices: list[DeadLetterNotice] = []
    for row in connection.execute(query).all():
        group = of_row(row)
        found = notices_of(group, row.noticed_seen, row.noticed_boomerangs, row.noticed_regressions)
        grown = any(notice.kind in (NoticeKind.NEW_GROUP, NoticeKind.GROWTH) for notice in found)
        values = {
            "changed": False,
            "noticed_seen": group.seen if grown else row.noticed_seen,
            "noticed_boomerangs": group.boomerangs,
            "noticed_regressions": group.regressions,
        }
        connection.execute(update(dead_letter_groups).where(_C.fingerprint == group.fingerprint).values(values))
        notices += found
    return notices
