"""the ledger is the queue; tables of its own name

Workers of the release before cannot work on this schema, nor can those of this release on theirs: stop them first.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = (
    "attempts",
    "bulkheads",
    "checkpoints",
    "dead_letter_audit",
    "dead_letter_groups",
    "dead_letter_hours",
    "dead_letter_tags",
    "dead_letter_words",
    "dead_letters",
    "facts",
    "job_notes",
    "job_tags",
    "jobs",
    "replication_groups",
    "replication_log",
    "replication_members",
    "schedules",
    "steps",
    "worker_events",
    "workers",
)

#: Indexes of tickets, and one whose columns change.
GONE = (
    "ix_jobs_due",
    "ix_jobs_given_room",
    "ix_jobs_queued",
    "ix_jobs_running",
    "ix_jobs_unticketed",
    "ix_jobs_waiting_for_room",
)

NOW = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    "postgresql": "extract(epoch from statement_timestamp())",
}


def upgrade() -> None:
    connection = op.get_bind()
    dialect = connection.dialect.name
    _refuse_while_workers_live(connection, NOW[dialect])
    for name in GONE:
        op.drop_index(name, "jobs")
    for table in TABLES:
        op.rename_table(table, f"perdure_{table}")
    (_rename_indexes_of_postgresql if dialect == "postgresql" else _rename_indexes_of_sqlite)(connection)

    op.add_column("perdure_jobs", sa.Column("lane", sa.String(600), nullable=False, server_default="-"))
    with op.batch_alter_table("perdure_jobs") as jobs:
        jobs.drop_column("ticketed_at")
    connection.execute(
        sa.text(
            """
            UPDATE perdure_jobs SET lane = CASE
                WHEN replica_of IS NOT NULL THEN 'replica'
                WHEN limit_key IS NOT NULL THEN 'limit:' || task || :between || limit_key
                WHEN breaker IS NOT NULL THEN 'breaker:' || breaker
                ELSE '-' END
            WHERE state IN ('scheduled', 'queued', 'retrying', 'running')
            """
        ),
        {"between": "\x1f"},
    )
    queued = f"UPDATE perdure_jobs SET run_at = coalesce(queued_at, {NOW[dialect]}) WHERE state = 'queued'"
    connection.execute(sa.text(queued))
    _index("ix_perdure_jobs_ready", ["bulkhead", "lane", "priority", "run_at"], "run_at IS NOT NULL")
    _index("ix_perdure_jobs_running", ["worker_id", "worker_pid"], "state = 'running'")
    _index("ix_perdure_jobs_limited", ["bulkhead", "task", "limit_key"], "state = 'running' AND limit_key IS NOT NULL")
    _index("ix_perdure_jobs_cancelling", ["worker_id"], "state = 'running' AND cancel_requested_at IS NOT NULL")
    if dialect == "postgresql":
        _sort_ids_by_their_characters(connection)


def _sort_ids_by_their_characters(connection: sa.Connection) -> None:
    """Have ids sort by the time of their making, also in a database of a language whose digits come after its letters."""
    of_ids = sa.text(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema() "
        "AND table_name = ANY(:tables) AND data_type = 'character varying' AND character_maximum_length = 36"
    )
    changes: dict[str, list[str]] = {}
    for table, column in connection.execute(of_ids, {"tables": [f"perdure_{table}" for table in TABLES]}):
        changes.setdefault(table, []).append(f'ALTER COLUMN "{column}" TYPE varchar(36) COLLATE "C"')
    for table, columns in changes.items():
        connection.execute(sa.text(f'ALTER TABLE "{table}" {", ".join(columns)}'))


def _index(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "perdure_jobs", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _refuse_while_workers_live(connection: sa.Connection, now: str) -> None:
    live = sa.text(f"SELECT name FROM workers WHERE state IN ('healthy', 'suspect') AND heartbeat_at > {now} - lease_ttl")
    names = sorted(connection.execute(live).scalars())
    if names:
        raise RuntimeError(
            f"workers of the release before are running on this ledger: {', '.join(names)}. Both releases cannot share it. "
            "Stop them, run this again, then start workers of this release; jobs wait meanwhile, and none is lost"
        )


def _rename_indexes_of_postgresql(connection: sa.Connection) -> None:
    found = sa.text("SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND tablename = ANY(:tables)")
    tables = [f"perdure_{table}" for table in TABLES]
    for name in connection.execute(found, {"tables": tables}).scalars().all():
        connection.execute(sa.text(f'ALTER INDEX "{name}" RENAME TO "{_renamed(name)}"'))


def _rename_indexes_of_sqlite(connection: sa.Connection) -> None:
    found = sa.text(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name LIKE 'perdure_%'"
    )
    for name, sql in connection.execute(found).all():
        connection.execute(sa.text(f'DROP INDEX "{name}"'))
        connection.exec_driver_sql(sql.replace(name, _renamed(name), 1))


def _renamed(name: str) -> str:
    kind, _, rest = name.partition("_")
    return f"{kind}_perdure_{rest}"
