"""Finding the one job or dead letter whose id begins or ends with what somebody typed or pasted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perdure.errors import AmbiguousId, JobNotFound
from perdure.ledger import direct
from perdure.ledger.dead_letters.read import not_found

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: A part of a UUID. Anything else begins and ends none, and its wildcards never reach the database.
_PART = re.compile(r"[0-9a-f-]{1,36}")
#: Ids that an ambiguous text is answered with.
_NAMED = 5

_IS_PART = "= CAST(:part AS text)"
# "g" sorts after every digit of an id, also where a database sorts by a language's rules.
_BEGINS = f"id >= :part AND id < :behind AND substr(id, 1, :size) {_IS_PART}"
_ENDS = {"sqlite": f"substr(id, -:size) {_IS_PART}", "postgresql": f"right(id, :size) {_IS_PART}"}


def find_job_id(connection: Where, text: str) -> str:
    """Return the id of the job that a text means: the whole id, or how only this one begins or ends.

    Beginnings are found by the index of ids, at any number of jobs. Endings have none, so all ids are read for one that
    no beginning matches.

    Raises:
        JobNotFound: There is none.
        AmbiguousId: Several jobs begin or end so; the message names some.
    """
    found = _find(connection, "jobs", text)
    if found is None:
        raise JobNotFound(f"no job {text!r} in the ledger. List them: perdure jobs list")
    return found


def find_letter_id(connection: Where, text: str) -> str:
    """Return the id of the dead letter that a text means, as :func:`find_job_id` does.

    Raises:
        DeadLetterNotFound: There is none.
        AmbiguousId: Several letters begin or end so; the message names some.
    """
    found = _find(connection, "dead_letters", text)
    if found is None:
        raise not_found(text)
    return found


def _find(connection: Where, what: str, text: str) -> str | None:
    if "\x00" in text:  # PostgreSQL refuses it anywhere
        return None
    ids = f"SELECT id FROM perdure_{what} WHERE"
    for (whole,) in direct.rows(connection, f"{ids} id = :whole", {"whole": text}):
        return str(whole)
    part = text.strip().lower()
    if _PART.fullmatch(part) is None:
        return None
    begins = {"part": part, "behind": f"{part}g", "size": len(part)}
    ends = {"part": part, "size": len(part)}
    for matches, values in ((_BEGINS, begins), (_ENDS[connection.dialect.name], ends)):
        page = f"{ids} {matches} ORDER BY id DESC LIMIT {_NAMED + 1}"
        found: list[str] = [job_id for (job_id,) in direct.rows(connection, page, values)]
        if len(found) > 1:
            raise AmbiguousId(part, what, found[:_NAMED], more=len(found) > _NAMED)
        if found:
            return found[0]
    return None
