"""Writing dead letters: the letter, what it is found by, and its group's counts, in the caller's transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.ledger import counts, direct
from perdure.ledger.batch import encoded, rows_of
from perdure.ledger.dialects import DIALECTS, HOT, NOW
from perdure.model.dead_letter import OPEN, STATUSES
from perdure.model.dead_letter_words import letter_words
from perdure.model.records import DeadLetterRecord
from perdure.model.text.storable import MAX_ERROR, storable
from perdure.system.tracing import CARRIED

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

HOUR = 3600.0
#: Open letters of one flaw of broker messages that are kept.
MOST_QUARANTINED = 100

#: What the ledger has of a letter: what its record has, but for what could not be opened.
COLUMNS = tuple(name for name in DeadLetterRecord.__struct_fields__ if name != "unopened")
_DEFAULTS: dict[str, Any] = {"attempts": 0, "checkpoint_seq": 0, "generation": 0, "status": OPEN}


def _insert(dialect: str) -> str:
    """A letter that is there already stays as it is: this is the repeat after a commit whose outcome was unknown."""
    at = {"created_at": f"coalesce(:created_at, {NOW[dialect]})"}
    return f"""
        INSERT INTO perdure_dead_letters ({", ".join(COLUMNS)}) VALUES ({", ".join(at.get(n, f":{n}") for n in COLUMNS)})
        ON CONFLICT DO NOTHING RETURNING created_at
    """


_INSERT = {dialect: _insert(dialect) for dialect in DIALECTS}
_TAG = {"letter_id": "text", "tag": "text", "value": "text"}
_INSERT_TAGS = {
    dialect: f"INSERT INTO perdure_dead_letter_tags (letter_id, tag, value) SELECT letter_id, tag, value "
    f"FROM {rows_of(dialect, _TAG)} WHERE true ON CONFLICT DO NOTHING"
    for dialect in DIALECTS
}
_WORD = {"word": "text", "letter_id": "text"}
_INSERT_WORDS = {
    dialect: "INSERT INTO perdure_dead_letter_words (word, letter_id) SELECT word, letter_id "
    f"FROM {rows_of(dialect, _WORD)}"
    for dialect in DIALECTS
}
_LATEST = ("task", "reason", "error_type", "error")
_ADDED = ("seen", *STATUSES, "boomerangs")
_OF_GROUP = ("fingerprint", *_LATEST, *_ADDED, "first_seen", "last_seen")
_RELEASE = "CAST(:in_release AS text)"
_COMES_BACK = f"g.resolved_in IS NOT NULL AND {_RELEASE} IS NOT NULL AND g.resolved_in <> {_RELEASE}"
_ADD_TO_GROUP = f"""
    INSERT INTO perdure_dead_letter_groups AS g ({", ".join(_OF_GROUP)}, changed)
    VALUES ({", ".join(f":{name}" for name in _OF_GROUP)}, TRUE)
    ON CONFLICT (fingerprint) DO UPDATE SET
        {", ".join(f"{name} = g.{name} + excluded.{name}" for name in _ADDED)},
        {", ".join(f"{name} = excluded.{name}" for name in (*_LATEST, "changed"))},
        first_seen = CASE WHEN excluded.first_seen < g.first_seen THEN excluded.first_seen ELSE g.first_seen END,
        last_seen = CASE WHEN excluded.last_seen > g.last_seen THEN excluded.last_seen ELSE g.last_seen END,
        regressions = g.regressions + CASE WHEN {_COMES_BACK} THEN 1 ELSE 0 END,
        regressed_at = CASE WHEN {_COMES_BACK} THEN excluded.last_seen ELSE g.regressed_at END,
        regressed_in = CASE WHEN {_COMES_BACK} THEN {_RELEASE} ELSE g.regressed_in END,
        resolved_at = CASE WHEN {_COMES_BACK} THEN NULL ELSE g.resolved_at END,
        resolved_in = CASE WHEN {_COMES_BACK} THEN NULL ELSE g.resolved_in END
"""
_HOUR = {"fingerprint": "text", "hour": "int", "count": "int"}
_ADD_TO_HOURS = {
    dialect: f"INSERT INTO perdure_dead_letter_hours AS h (fingerprint, hour, count) SELECT fingerprint, hour, count "
    f"FROM {rows_of(dialect, _HOUR)} WHERE true "
    "ON CONFLICT (fingerprint, hour) DO UPDATE SET count = h.count + excluded.count"
    for dialect in DIALECTS
}
_COUNT_ALONE = {
    dialect: f"UPDATE perdure_dead_letter_groups SET seen = seen + 1, last_seen = {NOW[dialect]}, changed = TRUE "
    f"WHERE fingerprint = :fingerprint AND open >= {MOST_QUARANTINED} RETURNING 1"
    for dialect in DIALECTS
}
_TAKEN_OVER = ("tags", "priority", "timeout", "attempts", "checkpoint_seq", "replay_of", "generation")
#: In the order of the names above.
_OF_JOB = {
    dialect: f"""
        SELECT tags, priority, timeout, attempt, checkpoint_seq, replay_of, CASE WHEN replay_of IS NULL THEN 0 ELSE
            1 + coalesce((SELECT max(l.generation) FROM perdure_dead_letters l WHERE l.job_id = j.replay_of), 0) END
        FROM {HOT[dialect]} j WHERE id = :of_job
    """
    for dialect in DIALECTS
}
_SHIFT = f"""
    UPDATE perdure_dead_letter_groups SET {", ".join(f"{status} = {status} + :{status}" for status in STATUSES)}
    WHERE fingerprint = :fingerprint
"""
_RESOLVE = {
    dialect: f"UPDATE perdure_dead_letter_groups SET resolved_at = {NOW[dialect]}, resolved_in = :release, "
    "regressed_at = NULL, regressed_in = NULL WHERE fingerprint = :fingerprint"
    for dialect in DIALECTS
}
_RESOLVE_UNLESS_OPEN = {dialect: f"{statement} AND open = 0" for dialect, statement in _RESOLVE.items()}


def write(connection: Where, letters: Iterable[Mapping[str, Any]], release: str | None = None) -> int:
    """Write dead letters, open ones unless they say otherwise, and return how many were new.

    A fault that was resolved under another release has come back with this one: a regression.

    Args:
        connection: A connection in a transaction.
        letters: Values by column; those that are left out are empty. ``created_at`` is now unless it is given.
        release: The release of the application that the jobs died in, if it is known.
    """
    written: list[dict[str, Any]] = []
    for letter in letters:
        row = {**dict.fromkeys(COLUMNS), **_DEFAULTS, **letter}
        for (created_at,) in direct.rows(connection, _INSERT[connection.dialect.name], row):
            written.append({**row, "created_at": created_at})
    if written:
        _index(connection, written)
        _count(connection, written, release)
    return len(written)


def quarantine(connection: Where, letter: Mapping[str, Any]) -> bool:
    """Write a dead letter for a broker message that names no job that can run; its texts may be anything.

    Whoever can write to the broker can send any number of them: when :data:`MOST_QUARANTINED` of one flaw are open, others
    are counted with their group and not kept.

    Returns:
        Whether it was kept.
    """
    counts.add(connection, [counts.quarantined(letter["bulkhead"] or "", letter["reason"])])
    of_flaw = {"fingerprint": letter["fingerprint"]}
    if direct.rows(connection, _COUNT_ALONE[connection.dialect.name], of_flaw):
        return False
    cleaned = {name: storable(value, MAX_ERROR) if isinstance(value, str) else value for name, value in letter.items()}
    write(connection, [cleaned])
    return True


def of_job(connection: Where, job_id: str) -> dict[str, Any]:
    """Return what a letter takes over from its job: how it was submitted, and how far it had come."""
    [row] = direct.rows(connection, _OF_JOB[connection.dialect.name], {"of_job": job_id})
    return dict(zip(_TAKEN_OVER, row, strict=True))


def shift(connection: Where, changes: Iterable[tuple[str, str, str | None]], release: str | None = None) -> None:
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
    for fingerprint in sorted(moved):  # in one order, so that two transactions do not wait for each other
        differences = {status: moved[fingerprint][status] for status in STATUSES}
        if any(differences.values()):
            direct.run(connection, _SHIFT, {**differences, "fingerprint": fingerprint})
        if differences[OPEN] < 0:
            resolve(connection, fingerprint, release)


def resolve(connection: Where, fingerprint: str, release: str | None, *, noted: bool = False) -> None:
    """Note that a fault was dealt with under a release, if it has no open letters; or that a note says so of it."""
    statement = (_RESOLVE if noted else _RESOLVE_UNLESS_OPEN)[connection.dialect.name]
    direct.run(connection, statement, {"fingerprint": fingerprint, "release": release})


def _index(connection: Where, letters: Sequence[Mapping[str, Any]]) -> None:
    dialect = connection.dialect.name
    tags = [
        {"letter_id": letter["id"], "tag": tag, "value": value}
        for letter in letters
        if letter["tags"]
        for tag, value in msgspec.json.decode(letter["tags"]).items()
        if tag not in CARRIED
    ]
    if tags:
        direct.run(connection, _INSERT_TAGS[dialect], encoded(tags))
    found_by = [{"word": word, "letter_id": letter["id"]} for letter in letters for word in words_of(letter)]
    if found_by:
        direct.run(connection, _INSERT_WORDS[dialect], encoded(found_by))


def words_of(letter: Mapping[str, Any]) -> list[str]:
    """Return the words that a letter, as values by column, is found by."""
    return letter_words(*(letter[name] for name in ("task", "error_type", "error", "args", "kwargs", "raw")))


def _count(connection: Where, letters: Sequence[Mapping[str, Any]], release: str | None) -> None:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for letter in letters:
        groups.setdefault(letter["fingerprint"], []).append(letter)
    for fingerprint in sorted(groups):  # in one order, so that two transactions do not wait for each other
        direct.run(connection, _ADD_TO_GROUP, {**_group_values(fingerprint, groups[fingerprint]), "in_release": release})
    hours = Counter((letter["fingerprint"], int(letter["created_at"] // HOUR)) for letter in letters)
    rows = [{"fingerprint": group, "hour": hour, "count": count} for (group, hour), count in sorted(hours.items())]
    direct.run(connection, _ADD_TO_HOURS[connection.dialect.name], encoded(rows))


def _group_values(fingerprint: str, letters: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    newest = letters[-1]
    times = [letter["created_at"] for letter in letters]
    statuses = Counter(letter["status"] for letter in letters)
    return {
        "fingerprint": fingerprint,
        **{name: newest[name] for name in _LATEST},
        "seen": len(letters),
        **{status: statuses[status] for status in STATUSES},
        "boomerangs": sum(letter["generation"] > 0 for letter in letters),
        "first_seen": min(times),
        "last_seen": max(times),
    }
