"""The ledger's tables. Times are seconds since the epoch, by the database's clock.

Their names begin with ``perdure_``, so that they share a database with an application's own. Indexes (``indexes.py``) are
partial on what a statement looks for, so that claim and settle touch a few rows however many finished jobs there are.
Lists page by id, which sorts by time of making (UUIDv7).
"""

from __future__ import annotations

from sqlalchemy import (
    VARCHAR,
    BigInteger,
    Boolean,
    Column,
    Double,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

from perdure.model.lanes import LONGEST, PLAIN

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"},
)

#: Ids sort by the time of their making, whatever the database's language: in Czech and Slovak digits come after letters.
ID = String(36).with_variant(VARCHAR(36, collation="C"), "postgresql")

jobs = Table(
    "perdure_jobs",
    metadata,
    Column("id", ID, primary_key=True),
    Column("task", String(255), nullable=False),
    Column("bulkhead", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    # Where it waits within its bulkhead; see :mod:`perdure.model.lanes`.
    Column("lane", String(LONGEST), nullable=False, server_default=PLAIN),
    Column("priority", Integer, nullable=False),
    Column("args", Text, nullable=False),
    Column("kwargs", Text, nullable=False),
    Column("payload_digest", String(64), nullable=False),
    Column("tags", Text),
    Column("idempotency_key", String(255)),
    Column("idempotency_expires_at", Double),
    Column("created_at", Double, nullable=False),
    Column("run_at", Double),
    Column("queued_at", Double),
    Column("first_started_at", Double),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("deadline", Double),
    Column("timeout", Double),
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("crashes", Integer, nullable=False, server_default="0"),
    Column("snoozes", Integer, nullable=False, server_default="0"),
    Column("worker_id", ID),
    Column("worker_name", String(255)),
    Column("worker_pid", Integer),
    Column("progress_done", Double),
    Column("progress_total", Double),
    Column("progress_message", Text),
    Column("progress_at", Double),
    Column("checkpoint_seq", BigInteger, nullable=False, server_default="0"),
    Column("checkpointed_at", Double),
    Column("result", Text),
    Column("error_type", String(255)),
    Column("error", Text),
    Column("dead_letter_id", ID),
    Column("replay_of", ID),
    Column("replica_of", ID),
    Column("breaker", String(255)),
    # Which of a limit's keys it counts for: "" for a limit without keys, NULL for a job that no limit bounds.
    Column("limit_key", String(255)),
    Column("cancel_requested_at", Double),
    Column("cancel_reason", Text),
    Column("unknown_since", Double),
)

job_tags = Table(
    "perdure_job_tags",
    metadata,
    Column("job_id", ID, primary_key=True),
    Column("tag", String(64), primary_key=True),
    Column("value", String(255), nullable=False),
)

#: One row for each claim; ``number`` is the claim's fence.
attempts = Table(
    "perdure_attempts",
    metadata,
    Column("job_id", ID, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("outcome", String(16), nullable=False),
    Column("worker", String(255)),
    Column("worker_pid", Integer),
    Column("started_at", Double),
    Column("finished_at", Double, nullable=False),
    Column("error_type", String(255)),
    Column("error", Text),
    Column("traceback", Text),
)

dead_letters = Table(
    "perdure_dead_letters",
    metadata,
    Column("id", ID, primary_key=True),
    Column("job_id", ID),
    Column("task", String(255), nullable=False),
    Column("bulkhead", String(64)),
    Column("args", Text),
    Column("kwargs", Text),
    Column("tags", Text),
    Column("priority", Integer),
    Column("timeout", Double),
    Column("reason", String(16), nullable=False),
    Column("error_type", String(255)),
    Column("error", Text),
    Column("traceback", Text),
    Column("fingerprint", String(64), nullable=False),
    Column("breaker", String(255)),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("checkpoint_seq", BigInteger, nullable=False, server_default="0"),
    Column("replay_of", ID),
    Column("generation", Integer, nullable=False, server_default="0"),
    Column("raw", LargeBinary),
    Column("created_at", Double, nullable=False),
    Column("status", String(16), nullable=False),
    Column("replayed_as", ID),
    Column("replayed_by", String(255)),
    Column("replayed_at", Double),
    Column("replayed_in", ID),
    Column("resolved_reason", Text),
    Column("note", Text),
    Column("noted_by", String(255)),
    Column("noted_at", Double),
)

dead_letter_tags = Table(
    "perdure_dead_letter_tags",
    metadata,
    Column("letter_id", ID, primary_key=True),
    Column("tag", String(64), primary_key=True),
    Column("value", String(255), nullable=False),
)

#: The words of a letter's task, error and arguments: what a search for text goes by, alike on every database.
dead_letter_words = Table(
    "perdure_dead_letter_words",
    metadata,
    Column("word", String(40), primary_key=True),
    Column("letter_id", ID, primary_key=True),
    sqlite_with_rowid=False,
)

#: One row for each fault, counted as letters come and go; ``seen`` counts those that were deleted as well.
dead_letter_groups = Table(
    "perdure_dead_letter_groups",
    metadata,
    Column("fingerprint", String(64), primary_key=True),
    Column("task", String(255), nullable=False),
    Column("reason", String(16), nullable=False),
    Column("error_type", String(255)),
    Column("error", Text),
    Column("seen", Integer, nullable=False),
    Column("open", Integer, nullable=False),
    Column("replayed", Integer, nullable=False),
    Column("discarded", Integer, nullable=False),
    Column("boomerangs", Integer, nullable=False),
    Column("first_seen", Double, nullable=False),
    Column("last_seen", Double, nullable=False),
    Column("note", Text),
    Column("noted_by", String(255)),
    Column("noted_at", Double),
    Column("noticed_seen", Integer, nullable=False, server_default="0"),
    Column("noticed_boomerangs", Integer, nullable=False, server_default="0"),
    Column("changed", Boolean, nullable=False),
    # When its last letter was dealt with, or a note was written, and under which release of the application; and the last
    # time that it came back under another one.
    Column("resolved_at", Double),
    Column("resolved_in", String(255)),
    Column("regressions", Integer, nullable=False, server_default="0"),
    Column("regressed_at", Double),
    Column("regressed_in", String(255)),
    Column("noticed_regressions", Integer, nullable=False, server_default="0"),
)

#: Letters of a fault in each hour (hours since the epoch): its trend.
dead_letter_hours = Table(
    "perdure_dead_letter_hours",
    metadata,
    Column("fingerprint", String(64), primary_key=True),
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("count", Integer, nullable=False),
)

#: Who did what to dead letters, when and from where; kept when the letters are gone.
dead_letter_audit = Table(
    "perdure_dead_letter_audit",
    metadata,
    Column("id", ID, primary_key=True),
    Column("at", Double, nullable=False),
    Column("who", String(255), nullable=False),
    Column("source", String(255), nullable=False),
    Column("action", String(32), nullable=False),
    Column("letter_id", ID),
    Column("fingerprint", String(64)),
    Column("job_id", ID),
    Column("detail", Text),
)

#: Checkpoints of jobs, framed and with a checksum (``perdure.stores.record``); the newest two of each name are kept.
checkpoints = Table(
    "perdure_checkpoints",
    metadata,
    Column("job_id", ID, primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("fence", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
    Column("saved_at", Double, nullable=False),
)

#: Durable steps of jobs: what each returned. ``position`` counts the steps of a job in the order of their calls, from 1.
steps = Table(
    "perdure_steps",
    metadata,
    Column("job_id", ID, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("name", String(255), nullable=False),
    Column("result", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("finished_at", Double, nullable=False),
)

#: What happened to a job besides its transitions: a damaged checkpoint, a state that was migrated or given up.
job_notes = Table(
    "perdure_job_notes",
    metadata,
    Column("id", ID, primary_key=True),
    Column("job_id", ID, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("text", Text, nullable=False),
    Column("at", Double, nullable=False),
)

#: What jobs have said by ``ctx.log``: lines from number ``first`` of an attempt on, as JSON, and how many they are.
job_logs = Table(
    "perdure_job_logs",
    metadata,
    Column("job_id", String(36), primary_key=True),
    Column("fence", Integer, primary_key=True, autoincrement=False),
    Column("first", Integer, primary_key=True, autoincrement=False),
    Column("attempt", Integer, nullable=False),
    Column("lines", Integer, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("data", Text, nullable=False),
)

#: Worker incarnations; one row is one lease. ``life_line`` is the start of the server on which it was taken.
workers = Table(
    "perdure_workers",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", String(255), nullable=False),
    Column("bulkhead", String(64), nullable=False),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("concurrency", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("draining", Boolean, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("heartbeat_at", Double, nullable=False),
    Column("lease_ttl", Double, nullable=False),
    Column("lock_path", Text),
    Column("life_line", Double),
    Column("state_changed_at", Double, nullable=False),
    Column("state_reason", Text),
)

#: Every change of a worker's state. ``silence`` is the age of its last heartbeat then, in seconds: the detection time.
worker_events = Table(
    "perdure_worker_events",
    metadata,
    Column("id", ID, primary_key=True),
    Column("worker_id", ID, nullable=False),
    Column("worker_name", String(255), nullable=False),
    Column("bulkhead", String(64), nullable=False),
    Column("source", String(16)),
    Column("target", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("silence", Double),
)

#: Periodic jobs: the newest tick that was fired, epoch seconds, and who has paused them.
schedules = Table(
    "perdure_schedules",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("last_tick", Double, nullable=False),
    Column("last_job_id", ID),
    Column("updated_at", Double, nullable=False),
    Column("paused_at", Double),
    Column("paused_by", String(255)),
    Column("pause_reason", Text),
)

#: Primary-backup groups: the newest epoch, its primary, and the number of the last operation in the log.
replication_groups = Table(
    "perdure_replication_groups",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("primary", String(255), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("promoted_by", String(255)),
    Column("reason", Text),
    Column("updated_at", Double, nullable=False),
    Column("checked_at", Double),
)

#: How far each member of a group has come in the group's log, and how often in a row it has failed.
Table(
    "perdure_replication_members",
    metadata,
    Column("group_name", String(255), primary_key=True),
    Column("member", String(255), primary_key=True),
    Column("applied", Integer, nullable=False),
    Column("failures", Integer, nullable=False, server_default="0"),
)

#: Every change of a group's primary. ``tell_at`` is when hooks are to be told of it, and null once they were.
Table(
    "perdure_replication_promotions",
    metadata,
    Column("group_name", String(255), primary_key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("primary", String(255), nullable=False),
    Column("before", String(255), nullable=False),
    Column("promoted_by", String(255), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("tell_at", Double),
)

#: The operations that count, in their order.
replication_log = Table(
    "perdure_replication_log",
    metadata,
    Column("group_name", String(255), primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("epoch", Integer, nullable=False),
    Column("key", String(255), nullable=False),
    Column("job_id", ID, nullable=False),
    Column("operation", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("recorded_at", Double, nullable=False),
)

#: Operators' overrides of a bulkhead; no row means that it runs.
bulkheads = Table(
    "perdure_bulkheads",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("paused", Boolean, nullable=False),
    Column("paused_by", String(255)),
    Column("paused_at", Double),
    Column("reason", Text),
)

#: What was counted for metrics and is not added up yet: rows are appended by settlements, and deleted soon.
counts = Table(
    "perdure_counts",
    metadata,
    Column("at", Double, nullable=False),
    Column("name", String(64), nullable=False),
    # A JSON list of the labels' values, in the metric's order.
    Column("labels", Text, nullable=False),
    Column("place", Integer, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("sum", Double, nullable=False),
)

#: What was counted since the ledger was made: one row for each series, or each bucket of a histogram.
Table(
    "perdure_count_totals",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("labels", Text, primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("count", BigInteger, nullable=False),
    Column("sum", Double, nullable=False),
)

#: Small facts about the platform itself.
facts = Table(
    "perdure_facts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
    Column("updated_at", Double, nullable=False),
)

#: One row for each time that something was bad: open while it is, and kept as history.
alerts = Table(
    "perdure_alerts",
    metadata,
    Column("id", ID, primary_key=True),
    Column("rule", String(64), nullable=False),
    Column("key", String(32), nullable=False),
    Column("labels", Text, nullable=False),
    Column("severity", String(16), nullable=False),
    Column("phase", String(16), nullable=False),
    Column("value", Double, nullable=False),
    Column("message", Text, nullable=False),
    Column("since", Double, nullable=False),
    Column("fired_at", Double),
    Column("clear_since", Double),
    Column("resolved_at", Double),
    Column("seen_at", Double, nullable=False),
    Column("told", Boolean, nullable=False),
)

#: What notifiers are told: ``due_at`` is when somebody is to send it next, and null once it is sent or given up.
alert_notifications = Table(
    "perdure_alert_notifications",
    metadata,
    Column("id", ID, primary_key=True),
    Column("notifier", String(64), nullable=False),
    Column("rule", String(64), nullable=False),
    Column("event", String(16), nullable=False),
    Column("alerts", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("due_at", Double),
    Column("fence", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("sender", String(255)),
    Column("sent_at", Double),
    Column("error", Text),
)

#: Alerts that somebody wants to hear nothing of for a while.
alert_silences = Table(
    "perdure_alert_silences",
    metadata,
    Column("id", ID, primary_key=True),
    Column("rule", String(64), nullable=False),
    Column("labels", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("made_by", String(255), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("ends_at", Double, nullable=False),
)

#: How many were good and bad in each stretch of ``span`` seconds from ``start`` on: of tasks, objectives, and more.
outcome_counts = Table(
    "perdure_outcome_counts",
    metadata,
    Column("series", String(300), primary_key=True),
    Column("span", Integer, primary_key=True, autoincrement=False),
    Column("start", BigInteger, primary_key=True, autoincrement=False),
    Column("good", BigInteger, nullable=False),
    Column("bad", BigInteger, nullable=False),
)
