"""Partitions: one for each stretch of time, of the jobs that ended in it and of what belongs to them.

They inherit from the tables whose parts they are, so that whatever reads jobs reads them too, while what waits and runs is
found in the table alone (:data:`perdure.ledger.dialects.HOT`). A declared partition could not be passed over like that, its
ids and keys could be unique only within one, and to detach it would stop everybody for a moment.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from perdure.alembic import PREFIX
from perdure.ledger import direct
from perdure.ledger.dialects import NOW

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

JOBS = "perdure_jobs"
#: What belongs to jobs, by their ids.
OF_JOBS = (
    "perdure_attempts",
    "perdure_checkpoints",
    "perdure_job_logs",
    "perdure_job_notes",
    "perdure_job_tags",
    "perdure_steps",
)

#: The tables of the ledger, without partitions.
OF_LEDGER = f"""
    SELECT c.oid FROM pg_class c
    WHERE c.relkind = 'r' AND starts_with(c.relname, '{PREFIX}') AND pg_table_is_visible(c.oid)
        AND NOT EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhrelid = c.oid)
"""

#: A partition's name says until when it takes what ended.
_UNTIL = "_until_%Y%m%dt%H%M%S"
_SUFFIX = re.compile(r"_until_\d{8}t\d{6}$")
#: Indexes for what has not ended are not made; these are for all jobs that have what they are of.
_OF_ALL = ("ix_perdure_jobs_replay_of", "ux_perdure_jobs_idempotency")
#: Seconds that dropping waits for who reads a partition, and has those wait who come after that.
PATIENCE = 1.0

_EXISTING = """
    SELECT c.relname, greatest(c.reltuples, 0), pg_total_relation_size(c.oid)
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = CAST(:jobs AS regclass) ORDER BY c.relname
"""
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('perdure:partitions', 0))"
_IS_THERE = "SELECT to_regclass(:name) IS NOT NULL"
#: A table's indexes: their names, whether each is of the key, of which columns and of which rows.
_INDEXES = """
    SELECT c.relname, i.indisprimary, pg_get_expr(i.indpred, i.indrelid),
        (SELECT string_agg(pg_get_indexdef(i.indexrelid, n, true), ', ' ORDER BY n) FROM generate_series(1, indnkeyatts) n)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = CAST(:table AS regclass) ORDER BY c.relname
"""


class Partition(Struct, frozen=True):
    """A partition of the jobs.

    Attributes:
        until: It has what ended before this moment, epoch seconds.
        jobs: How many there are, as PostgreSQL estimates it.
        bytes: What their table and its indexes take; what belongs to the jobs is not in it.
    """

    until: float
    jobs: int
    bytes: int


def existing(connection: Where) -> list[Partition]:
    """Return the partitions that there are, the oldest first; none on SQLite."""
    if connection.dialect.name != "postgresql":
        return []
    found = [(_SUFFIX.search(name), *sizes) for name, *sizes in direct.rows(connection, _EXISTING, {"jobs": JOBS})]
    return [Partition(_until(match[0]), int(jobs), int(size)) for match, jobs, size in found if match]


def name_of(table: str, until: float) -> str:
    """Return the name of a table's partition of what ended before a moment, epoch seconds."""
    return table + datetime.fromtimestamp(until, UTC).strftime(_UNTIL)


def is_partition(name: str) -> bool:
    """Return whether a table of this name is a partition."""
    return _SUFFIX.search(name) is not None


def _until(suffix: str) -> float:
    return datetime.strptime(suffix, _UNTIL).replace(tzinfo=UTC).timestamp()


def make(connection: Where, until: float) -> None:
    """Make the partition of what ended before a moment, unless it is there; in the caller's transaction."""
    if _is_there(connection, until):
        return
    direct.run(connection, _ONE_AT_A_TIME, {})
    if _is_there(connection, until):
        return
    for table in (JOBS, *OF_JOBS):
        name = name_of(table, until)
        indexes = direct.rows(connection, _INDEXES, {"table": table})
        [key] = [columns for _, is_key, _, columns in indexes if is_key]
        direct.run(connection, f"CREATE TABLE {name} (PRIMARY KEY ({key})) INHERITS ({table})", {})
        for index, is_key, condition, columns in indexes:
            if not is_key and (condition is None or index in _OF_ALL):
                where = "" if condition is None else f"WHERE {condition}"
                its_name = index + name.removeprefix(table)
                direct.run(connection, f"CREATE INDEX {its_name} ON {name} ({columns}) {where}", {})


def _is_there(connection: Where, until: float) -> bool:
    [(is_there,)] = direct.rows(connection, _IS_THERE, {"name": name_of(JOBS, until)})
    return bool(is_there)


def protects(connection: Where, until: float) -> bool:
    """Return whether an idempotency key of a partition's jobs protects against a second submit still."""
    query = (
        f"SELECT EXISTS (SELECT 1 FROM {name_of(JOBS, until)} WHERE idempotency_key IS NOT NULL "
        f"AND idempotency_expires_at > {NOW['postgresql']})"
    )
    [(does,)] = direct.rows(connection, query, {})
    return bool(does)


def checkpointed(connection: Where, until: float, after: str, page: int) -> list[str]:
    """Return a page of a partition's jobs that have saved a checkpoint, those whose ids come after one."""
    query = f"SELECT id FROM {name_of(JOBS, until)} WHERE checkpoint_seq > 0 AND id > :after ORDER BY id LIMIT :page"
    return [job_id for (job_id,) in direct.rows(connection, query, {"after": after, "page": page})]


def drop(connection: Where, until: float) -> None:
    """Drop a partition with all that belongs to its jobs, in the caller's transaction.

    Raises:
        LedgerUnavailable: Somebody has read it for long, as a backup does; it is as it was.
    """
    direct.run(connection, f"SET LOCAL lock_timeout = {int(PATIENCE * 1000)}", {})
    names = ", ".join(name_of(table, until) for table in (JOBS, *OF_JOBS))
    direct.run(connection, f"DROP TABLE {names}", {})
