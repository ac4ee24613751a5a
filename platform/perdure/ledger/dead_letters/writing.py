"""Writing dead letters: the letter, what it is found by, and its group's counts, in the caller's transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, bindparam, case, func, insert, null, select, update

from perdure.ledger import counts
from perdure.ledger.conditions import insert_ignoring, inserting
from perdure.ledger.now import now
from perdure.ledger.schema import (
    dead_letter_groups,
    dead_letter_hours,
    dead_letter_tags,
    dead_letter_words,
    dead_letters,
    jobs,
)
from perdure.model.dead_letter import OPEN, STATUSES
from perdure.model.dead_letter_words import letter_words
from perdure.model.text.storable import MAX_ERROR, storable
from perdure.system.tracing import CARRIED

HOUR = 3600.0
#: Open letters of one flaw of broker messages that are kept.
MOST_QUARANTINED = 100

_COLUMNS = tuple(column.name for column in dead_letters.columns)
_DEFAULTS: dict[str, Any] = {"attempts": 0, "checkpoint_seq": 0, "generation": 0, "status": OPEN}
_GIVEN_AT: dict[str, Any] = {name: bindparam(name) for name in _COLUMNS} | {
    "created_at": func.coalesce(bindparam("created_at", type_=dead_letters.c.created_at.type), now())
}
_INSERT_WORDS = insert(dead_letter_words)
_GENERATION = select(func.max(dead_letters.c.generation)).where(dead_letters.c.job_id == bindparam("of_job"))
_OF_JOB = select(
    jobs.c.tags, jobs.c.priority, jobs.c.timeout, jobs.c.attempt, jobs.c.checkpoint_seq, jobs.c.replay_of
).where(jobs.c.id == bindparam("of_job"))


def write(connection: Connection, letters: Iterable[Mapping[str, Any]], release: str | None = None) -> int:
    """Write dead letters, open ones unless they say otherwise, and return how many were new.

    A fault that was resolved under another release has come back with this one: a regression.

    Args:
        connection: A connection in a transaction.
        letters: Values by column; those that are left out are empty. ``created_at`` is now unless it is given.
        release: The release of the application that the jobs died in, if it is known.
    """
    insertion = _insert(connection.dialect.name)
    written: list[dict[str, Any]] = []
    for letter in letters:
        row = {**dict.fromkeys(_COLUMNS), **_DEFAULTS, **letter}
        created_at = connection.execute(insertion, row).scalar_one_or_none()
        if created_at is not None:
            written.append({**row, "created_at": created_at})
    if written:
        _index(connection, written)
        _count(connection, written, release)
    return len(written)


def quarantine(connection: Connection, letter: Mapping[str, Any]) -> bool:
    """Write a dead letter for a broker message that names no job that can run; its texts may be anything.

    Whoever can write to the broker can send any number of them: when :data:`MOST_QUARANTINED` of one flaw are open, others
    are counted with their group and not kept.

    Returns:
        Whether it was kept.
    """
    counts.add(connection, [counts.quarantined(letter["bulkhead"] or "", letter["reason"])])
    group = dead_letter_groups.c
    of_flaw = group.fingerprint == letter["fingerprint"]
    counted = update(dead_letter_groups).where(of_flaw, group.open >= MOST_QUARANTINED)
    if connection.execute(counted.values(seen=group.seen + 1, last_seen=now(), changed=True)).rowcount:
        return False
    cleaned = {name: storable(value, MAX_ERROR) if isinstance(value, str) else value for name, value in letter.items()}
    write(connection, [cleaned])
    return True


def of_job(connection: Connection, job_id: str) -> dict[str, Any]:
    """Return what a letter takes over from its job: how it was submitted, and how far it had come."""
    row = connection.execute(_OF_JOB, {"of_job": job_id}).one()
    generation = 0
    if row.replay_of is not None:
        before = connection.execute(_GENERATION, {"of_job": row.replay_of}).scalar_one_or_none()
        generation = (before or 0) + 1
    values = {name: getattr(row, name) for name in ("tags", "priority", "timeout", "checkpoint_seq", "replay_of")}
    return {**values, "attempts": row.attempt, "generation": generation}


def shift(connection: Connection, changes: Iterable[tuple[str, str, str | None]], release: str | None = None) -> None:
    """Move letters from one status' count of their group to another's. A group without open letters is resolved.

    Args:
        connection: A connection in a transaction.
        changes: For each letter its fingerprint, its status before and the one after; None when it was deleted.
        release: The release of the application that runs where this is done, if it is known.
    """
    moved: dict[str, Counter[str]] = {}
    for fingerprint, before, after in changes:
        counts = moved.setdefault(fingerprint, Counter())
        counts[before] -= 1
        if after is not None:
            counts[after] += 1
    c = dead_letter_groups.c
    for fingerprint in sorted(moved):  # in one order, so that two transactions do not wait for each other
        differences = {status: c[status] + moved[fingerprint][status] for status in STATUSES if moved[fingerprint][status]}
        if differences:
            connection.execute(update(dead_letter_groups).where(c.fingerprint == fingerprint).values(differences))
        if moved[fingerprint][OPEN] < 0:
            resolve(connection, fingerprint, release)


def resolve(connection: Connection, fingerprint: str, release: str | None, *, noted: bool = False) -> None:
    """Note that a fault was dealt with under a release, if it has no open letters; or that a note says so of it."""
    c = dead_letter_groups.c
    dealt_with = update(dead_letter_groups).where(c.fingerprint == fingerprint)
    if not noted:
        dealt_with = dealt_with.where(c.open == 0)
    values = {"resolved_at": now(), "resolved_in": release, "regressed_at": None, "regressed_in": None}
    connection.execute(dealt_with.values(values))


def _index(connection: Connection, letters: Sequence[Mapping[str, Any]]) -> None:
    dialect = connection.dialect.name
    tags = [
        {"letter_id": letter["id"], "tag": tag, "value": value}
        for letter in letters
        if letter["tags"]
        for tag, value in msgspec.json.decode(letter["tags"]).items()
        if tag not in CARRIED
    ]
    if tags:
        connection.execute(insert_ignoring(dead_letter_tags, dialect), tags)
    found_by = [{"word": word, "letter_id": letter["id"]} for letter in letters for word in words_of(letter)]
    if found_by:
        connection.execute(_INSERT_WORDS, found_by)


def words_of(letter: Mapping[str, Any]) -> list[str]:
    """Return the words that a letter, as values by column, is found by."""
    return letter_words(*(letter[name] for name in ("task", "error_type", "error", "args", "kwargs", "raw")))


def _count(connection: Connection, letters: Sequence[Mapping[str, Any]], release: str | None) -> None:
    by_fingerprint: dict[str, list[Mapping[str, Any]]] = {}
    for letter in letters:
        by_fingerprint.setdefault(letter["fingerprint"], []).append(letter)
    dialect = connection.dialect.name
    for fingerprint in sorted(by_fingerprint):
        group = by_fingerprint[fingerprint]
        connection.execute(_add_to_group(dialect), {**_group_values(fingerprint, group), "in_release": release})
        hours = Counter(int(letter["created_at"] // HOUR) for letter in group)
        rows = [{"fingerprint": fingerprint, "hour": hour, "count": count} for hour, count in sorted(hours.items())]
        connection.execute(_add_to_hour(dialect), rows)


def _group_values(fingerprint: str, letters: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    newest = letters[-1]
    times = [letter["created_at"] for letter in letters]
    statuses = Counter(letter["status"] for letter in letters)
    return {
        "fingerprint": fingerprint,
        **{name: newest[name] for name in ("task", "reason", "error_type", "error")},
        "seen": len(letters),
        **{status: statuses[status] for status in STATUSES},
        "boomerangs": sum(letter["generation"] > 0 for letter in letters),
        "first_seen": min(times),
        "last_seen": max(times),
        "changed": True,
    }


@cache
def _insert(dialect: str) -> Any:
    """A letter that is there already stays as it is: this is the repeat after a commit whose outcome was unknown."""
    return insert_ignoring(dead_letters, dialect).values(_GIVEN_AT).returning(dead_letters.c.created_at)


@cache
def _add_to_group(dialect: str) -> Any:
    statement, c = inserting(dead_letter_groups, dialect), dead_letter_groups.c
    new = statement.excluded
    added = {name: c[name] + new[name] for name in ("seen", *STATUSES, "boomerangs")}
    latest = {name: new[name] for name in ("task", "reason", "error_type", "error", "changed")}
    first = case((new.first_seen < c.first_seen, new.first_seen), else_=c.first_seen)
    last = case((new.last_seen > c.last_seen, new.last_seen), else_=c.last_seen)
    in_release = bindparam("in_release", type_=c.resolved_in.type)
    comes_back = and_(c.resolved_in.is_not(None), in_release.is_not(None), c.resolved_in != in_release)
    regressed = {
        "regressions": c.regressions + case((comes_back, 1), else_=0),
        "regressed_at": case((comes_back, new.last_seen), else_=c.regressed_at),
        "regressed_in": case((comes_back, in_release), else_=c.regressed_in),
        **{name: case((comes_back, null()), else_=c[name]) for name in ("resolved_at", "resolved_in")},
    }
    return statement.on_conflict_do_update(
        index_elements=["fingerprint"], set_={**added, **latest, **regressed, "first_seen": first, "last_seen": last}
    )


@cache
def _add_to_hour(dialect: str) -> Any:
    statement = inserting(dead_letter_hours, dialect)
    total = {"count": dead_letter_hours.c.count + statement.excluded.count}
    return statement.on_conflict_do_update(index_elements=["fingerprint", "hour"], set_=total)
