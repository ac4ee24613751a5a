"""Finding the one job or dead letter whose id begins or ends with what somebody typed or pasted."""

from __future__ import annotations

import re

from sqlalchemy import Connection, String, Table, func, literal, select

from perdure.errors import AmbiguousId, JobNotFound
from perdure.ledger.dead_letters.read import not_found
from perdure.ledger.schema import dead_letters, jobs

#: A part of a UUID. Anything else begins and ends none, and its wildcards never reach the database.
_PART = re.compile(r"[0-9a-f-]{1,36}")
#: Ids that an ambiguous text is answered with.
_NAMED = 5


def find_job_id(connection: Connection, text: str) -> str:
    """Return the id of the job that a text means: the whole id, or how only this one begins or ends.

    Beginnings are found by the index of ids, at any number of jobs. Endings have none, so all ids are read for one that
    no beginning matches.

    Raises:
        JobNotFound: There is none.
        AmbiguousId: Several jobs begin or end so; the message names some.
    """
    found = _find(connection, jobs, text)
    if found is None:
        raise JobNotFound(f"no job {text!r} in the ledger. List them: perdure jobs list")
    return found


def find_letter_id(connection: Connection, text: str) -> str:
    """Return the id of the dead letter that a text means, as :func:`find_job_id` does.

    Raises:
        DeadLetterNotFound: There is none.
        AmbiguousId: Several letters begin or end so; the message names some.
    """
    found = _find(connection, dead_letters, text)
    if found is None:
        raise not_found(text)
    return found


def _find(connection: Connection, table: Table, text: str) -> str | None:
    if "\x00" in text:  # PostgreSQL refuses it anywhere
        return None
    key = table.c.id
    whole: str | None = connection.execute(select(key).where(key == text)).scalar_one_or_none()
    if whole is not None:
        return whole
    part = text.strip().lower()
    if _PART.fullmatch(part) is None:
        return None
    # "g" sorts after every digit of an id, also where a database sorts by a language's rules.
    begin = (key >= part) & (key < part + "g") & (func.substr(key, 1, len(part)) == part)
    end = func.substr(key, -len(part)) if connection.dialect.name == "sqlite" else func.right(key, len(part))
    for matches in (begin, end == literal(part, String)):
        page = select(key).where(matches).order_by(key.desc()).limit(_NAMED + 1)
        found: list[str] = list(connection.execute(page).scalars())
        if len(found) > 1:
            raise AmbiguousId(part, table.name.removeprefix("perdure_"), found[:_NAMED], more=len(found) > _NAMED)
        if found:
            return found[0]
    return None
