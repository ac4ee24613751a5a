"""Throwing dead rows away while PostgreSQL cannot: the few that live are copied aside, and the table is truncated.

A transaction that somebody holds open keeps every row that it could see, and VACUUM cannot take what died since. TRUNCATE
gives a table and its indexes new storage whatever others could see. It needs the table alone for a moment, and whoever has
a snapshot from before and reads the table for the first time after it finds nothing of what was in it:
https://www.postgresql.org/docs/current/mvcc-caveats.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from perdure.ledger import direct
from perdure.ledger.partitions.tables import OF_LEDGER

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: A table with more dead rows is rotated, if no more than so many live: a fraction of a second in which it is copied.
DEAD, LIVING = 100_000, 20_000
#: With more dead rows, and more living ones than that, a table waits for what succeeded to be archived.
BEHIND = 2 * DEAD
#: Seconds that a rotation waits for who uses the table, and has those wait who come after it; and that it may take.
PATIENCE, LONGEST = 0.1, 2.0
#: Seconds for which a dump may have its snapshot, and not yet all of its locks.
DUMP_BEGINS = 60.0

#: The transactions that run, that are prepared, or that replicas need, and whose they are: VACUUM leaves what those could
#: see. Everybody may see these columns of other users' sessions, but for the time. Who feeds a standby is in no database,
#: and a worker of autovacuum, which holds nothing, is nobody's.
HELD = """
    SELECT unnest(ARRAY[backend_xid, backend_xmin]) AS x, CAST(extract(epoch from xact_start) AS double precision) AS since,
        concat_ws(' ', 'session', pid, '(' || nullif(application_name, '') || ')') AS who
    FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND usesysid IS NOT NULL AND coalesce(datname, current_database()) = current_database()
    UNION ALL SELECT xmin, NULL, 'replication slot ' || slot_name FROM pg_replication_slots
    UNION ALL SELECT transaction, extract(epoch from prepared), 'prepared transaction ' || gid
    FROM pg_prepared_xacts WHERE database = current_database()
"""
_HORIZON = f"SELECT CAST(x AS text) FROM ({HELD}) AS held WHERE x IS NOT NULL ORDER BY age(x) DESC LIMIT 1"
_LOOK = f"""
    SELECT s.relname, s.n_live_tup, s.n_dead_tup, ({_HORIZON})
    FROM pg_stat_user_tables s WHERE s.relid IN ({OF_LEDGER})
"""
#: Why a table is not rotated, whatever the moment. Where transactions do not read what is committed by default, perdure's
#: own may have a snapshot from before, and would find it empty.
_WHY_NOT = """
    SELECT CASE
        WHEN current_setting('default_transaction_isolation') <> 'read committed'
            THEN 'transactions are ' || current_setting('default_transaction_isolation') || ' by default'
        WHEN to_regproc('pg_stat_force_next_flush') IS NULL THEN 'PostgreSQL is older than 15'
        WHEN NOT has_table_privilege(CAST(:name AS text), 'TRUNCATE') THEN current_user || ' may not truncate it'
        WHEN NOT has_database_privilege(current_database(), 'TEMPORARY') THEN current_user || ' may make no temporary table'
    END
"""
#: A dump that is still to lock what it reads. When it began is for its own user and for monitors to see.
_DUMP_BEGINS = """
    SELECT 1 FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'pg_dump%'
        AND coalesce(xact_start > clock_timestamp() - make_interval(secs => :seconds), true) LIMIT 1
"""
#: PostgreSQL counts what a session did once a second, and forgets that this truncated a table which it has changed again by
#: then: https://github.com/postgres/postgres/blob/REL_18_STABLE/src/backend/utils/activity/pgstat_relation.c
_COUNT_NOW = "SELECT pg_stat_force_next_flush()"
_ALONE = "SELECT pg_try_advisory_xact_lock(hashtextextended('perdure:rotate', 0))"


class Look(Struct, frozen=True):
    """What is dead in the ledger's tables, and whether it can be vacuumed.

    Attributes:
        horizon: The oldest transaction for which dead rows are kept; None while there is none.
        to_rotate: The tables, of which so many rows are dead and so few live that they can be rotated.
        is_behind: Whether too many rows live in a table of which far more are dead than those that have it rotated.
    """

    horizon: str | None
    to_rotate: Sequence[str]
    is_behind: bool


def look(connection: Where) -> Look:
    """Return what is dead in the ledger's tables."""
    rows = direct.rows(connection, _LOOK, {})
    return Look(
        horizon=next((horizon for *_, horizon in rows), None),
        to_rotate=[name for name, living, dead, _ in rows if dead > DEAD and living <= LIVING],
        is_behind=any(dead > BEHIND and living > LIVING for _, living, dead, _ in rows),
    )


def is_alone(connection: Where) -> bool:
    """Return whether nobody else rotates or archives in haste, until the end of the caller's transaction."""
    [(is_it,)] = direct.rows(connection, _ALONE, {})
    return bool(is_it)


def rotate(connection: Where, name: str) -> str | None:
    """Give one of the ledger's tables new storage with what lives in it, in the caller's transaction.

    Nobody has the table in use while it is locked, so nothing in it is in doubt. Who waits for it, of those that read what
    is committed as perdure's statements do, takes a snapshot afterwards.

    Args:
        connection: A connection to PostgreSQL, in a transaction of its own that has done nothing yet.
        name: The table; its partitions stay as they are.

    Returns:
        Why it was not done, where it could not be; None when it was.

    Raises:
        LedgerUnavailable: Somebody has the table in use, or the copy takes too long; it is as it was.
    """
    # The copy is to have all that was committed until the table was locked.
    direct.run(connection, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED", {})
    if not is_alone(connection):
        return "somebody else does it"
    [(why_not,)] = direct.rows(connection, _WHY_NOT, {"name": name})
    if why_not is not None:
        return str(why_not)
    direct.run(connection, f"SET LOCAL lock_timeout = {int(PATIENCE * 1000)}", {})
    direct.run(connection, f"SET LOCAL statement_timeout = {int(LONGEST * 1000)}", {})
    direct.run(connection, f"LOCK TABLE ONLY {name} IN ACCESS EXCLUSIVE MODE", {})
    if direct.rows(connection, _DUMP_BEGINS, {"seconds": DUMP_BEGINS}):
        return "a dump begins, which would find it empty"
    aside = f"CREATE TEMPORARY TABLE perdure_aside ON COMMIT DROP AS SELECT * FROM ONLY {name} LIMIT {LIVING + 1}"
    direct.run(connection, aside, {})
    [(living,)] = direct.rows(connection, "SELECT count(*) FROM perdure_aside", {})
    if living > LIVING:
        return f"more than {LIVING} of its rows live"
    direct.run(connection, f"TRUNCATE ONLY {name}", {})
    direct.run(connection, f"INSERT INTO {name} SELECT * FROM perdure_aside", {})
    direct.run(connection, _COUNT_NOW, {})
    return None
