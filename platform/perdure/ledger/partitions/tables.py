"""Partitions: one for each stretch of time, of the jobs that ended in it and of what belongs to them.

They inherit from the tables whose parts they are, so that whatever reads jobs reads them too, while what waits and runs is
found in the table alone (:mod:`perdure.ledger.hot`). A declared partition could not be passed over like that, its ids and
keys could be unique only within one, and to detach it would stop everybody for a moment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Index, Table, text

from perdure.ledger.schema import attempts, checkpoints, job_logs, job_notes, job_tags, jobs, steps

#: What belongs to jobs, by their ids.
OF_JOBS = (attempts, checkpoints, job_logs, job_notes, job_tags, steps)

#: A partition's name says until when it takes what ended.
_UNTIL = "_until_%Y%m%dt%H%M%S"
_SUFFIX = re.compile(r"_until_\d{8}t\d{6}$")
#: Indexes for what has not ended are not made; these are for all jobs that have what they are of.
_OF_ALL = ("ix_perdure_jobs_replay_of", "ux_perdure_jobs_idempotency")
#: Seconds that dropping waits for who reads a partition, and has those wait who come after that.
PATIENCE = 1.0

_EXISTING = text(
    """
    SELECT c.relname, pg_total_relation_size(c.oid) AS bytes, greatest(c.reltuples, 0) AS rows
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = CAST(:jobs AS regclass) ORDER BY c.relname
    """
)
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended('perdure:partitions', 0))")


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition of the jobs.

    Attributes:
        until: It has what ended before this moment, epoch seconds.
        jobs: How many there are, as PostgreSQL estimates it.
        bytes: What their table and its indexes take; what belongs to the jobs is not in it.
    """

    until: float
    jobs: int
    bytes: int


def existing(connection: Connection) -> list[Partition]:
    """Return the partitions that there are, the oldest first; none on SQLite."""
    if connection.dialect.name != "postgresql":
        return []
    found = [(_SUFFIX.search(row.relname), row) for row in connection.execute(_EXISTING, {"jobs": jobs.name})]
    return [Partition(_until(match[0]), int(row.rows), int(row.bytes)) for match, row in found if match]


def name_of(table: Table, until: float) -> str:
    """Return the name of a table's partition of what ended before a moment, epoch seconds."""
    return table.name + datetime.fromtimestamp(until, UTC).strftime(_UNTIL)


def is_partition(name: str) -> bool:
    """Return whether a table of this name is a partition."""
    return _SUFFIX.search(name) is not None


def _until(suffix: str) -> float:
    return datetime.strptime(suffix, _UNTIL).replace(tzinfo=UTC).timestamp()


def make(connection: Connection, until: float) -> None:
    """Make the partition of what ended before a moment, unless it is there; in the caller's transaction."""
    if _is_there(connection, until):
        return
    connection.execute(_ONE_AT_A_TIME)
    if _is_there(connection, until):
        return
    for table in (jobs, *OF_JOBS):
        name = name_of(table, until)
        key = ", ".join(column.name for column in table.primary_key.columns)
        connection.execute(text(f"CREATE TABLE {name} (PRIMARY KEY ({key})) INHERITS ({table.name})"))
        for index in sorted(_indexes(table), key=lambda index: str(index.name)):
            connection.execute(text(_create(index, table, name)))


def _is_there(connection: Connection, until: float) -> bool:
    there = connection.execute(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": name_of(jobs, until)})
    return bool(there.scalar_one())


def _indexes(table: Table) -> Iterable[Index]:
    from perdure.ledger.indexes import indexes_of  # which loads PostgreSQL's dialect; SQLite does without

    return (index for index in indexes_of(table) if index.name in _OF_ALL or _condition(index) is None)


def _condition(index: Index) -> object:
    return index.dialect_options["postgresql"]["where"]


def _create(index: Index, table: Table, name: str) -> str:
    where = "" if _condition(index) is None else f" WHERE {_condition(index)}"
    columns = ", ".join(column.name for column in index.columns)
    return f"CREATE INDEX {index.name}{name.removeprefix(table.name)} ON {name} ({columns}){where}"


def protects(connection: Connection, until: float) -> bool:
    """Return whether an idempotency key of a partition's jobs protects against a second submit still."""
    query = (
        f"SELECT EXISTS (SELECT 1 FROM {name_of(jobs, until)} WHERE idempotency_key IS NOT NULL "
        "AND idempotency_expires_at > extract(epoch from statement_timestamp()))"
    )
    return bool(connection.execute(text(query)).scalar_one())


def checkpointed(connection: Connection, until: float, after: str, page: int) -> list[str]:
    """Return a page of a partition's jobs that have saved a checkpoint, those whose ids come after one."""
    query = f"SELECT id FROM {name_of(jobs, until)} WHERE checkpoint_seq > 0 AND id > :after ORDER BY id LIMIT :page"
    return list(connection.execute(text(query), {"after": after, "page": page}).scalars())


def drop(connection: Connection, until: float) -> None:
    """Drop a partition with all that belongs to its jobs, in the caller's transaction.

    Raises:
        LedgerUnavailable: Somebody has read it for long, as a backup does; it is as it was.
    """
    connection.execute(text(f"SET LOCAL lock_timeout = {int(PATIENCE * 1000)}"))
    names = ", ".join(name_of(table, until) for table in (jobs, *OF_JOBS))
    connection.execute(text(f"DROP TABLE {names}"))
