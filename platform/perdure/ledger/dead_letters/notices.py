"""Taking note of faults that changed: each change is taken by one supervisor, whichever is first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.ledger import direct
from perdure.ledger.dead_letters.groups import COLUMNS, of_row
from perdure.ledger.dialects import DIALECTS, SKIP_LOCKED
from perdure.model.dead_letter_notices import DeadLetterNotice, NoticeKind, notices_of

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: As the partial index has it.
IS_CHANGED = "changed"
_CHANGED = f"""
    SELECT {", ".join(COLUMNS)}, noticed_seen, noticed_boomerangs, noticed_regressions FROM perdure_dead_letter_groups
    WHERE {IS_CHANGED} LIMIT :page
"""
_TAKE = {dialect: f"{_CHANGED} {SKIP_LOCKED[dialect]}" for dialect in DIALECTS}
_TOLD = """
    UPDATE perdure_dead_letter_groups
    SET changed = FALSE, noticed_seen = :seen, noticed_boomerangs = :boomerangs, noticed_regressions = :regressions
    WHERE fingerprint = :fingerprint
"""


def take(connection: Where, page: int) -> list[DeadLetterNotice]:
    """Return what there is to tell of a page of faults that changed, which are then taken as told of.

    They are told of once, by whoever takes them; if that process dies first, the next change of the fault is told of.
    """
    notices: list[DeadLetterNotice] = []
    for *columns, seen, boomerangs, regressions in direct.rows(connection, _TAKE[connection.dialect.name], {"page": page}):
        group = of_row(columns, [])
        found = notices_of(group, seen, boomerangs, regressions)
        grown = any(notice.kind in (NoticeKind.NEW_GROUP, NoticeKind.GROWTH) for notice in found)
        told = {
            "fingerprint": group.fingerprint,
            "seen": group.seen if grown else seen,
            "boomerangs": group.boomerangs,
            "regressions": group.regressions,
        }
        direct.run(connection, _TOLD, told)
        notices += found
    return notices
