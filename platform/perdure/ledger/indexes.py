"""The indexes of the ledger's tables; ``metadata`` has them as soon as this is loaded: where tables are made or compared.

A partial one names what it is in each dialect, and SQLAlchemy loads all of them for that: 3 MB and 40 ms for PostgreSQL's.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Column, Index, Table, text

from perdure.ledger.schema import (
    alert_notifications,
    alert_silences,
    alerts,
    attempts,
    counts,
    dead_letter_audit,
    dead_letter_groups,
    dead_letter_hours,
    dead_letter_tags,
    dead_letters,
    job_notes,
    job_tags,
    jobs,
    metadata,
    outcome_counts,
    replication_log,
    worker_events,
    workers,
)

__all__ = ["indexes_of", "metadata"]


def indexes_of(table: Table) -> Iterable[Index]:
    """Return the indexes of one of the ledger's tables."""
    return table.indexes


def _partial(name: str, *columns: Column[object], where: str, unique: bool = False) -> Index:
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


# Jobs have a run_at only while they wait: the moment from which they may run, which is their place in line as well.
_partial("ix_perdure_jobs_ready", jobs.c.bulkhead, jobs.c.lane, jobs.c.priority, jobs.c.run_at, where="run_at IS NOT NULL")
_partial("ix_perdure_jobs_running", jobs.c.worker_id, jobs.c.worker_pid, where="state = 'running'")
_partial(
    "ix_perdure_jobs_limited",
    jobs.c.bulkhead,
    jobs.c.task,
    jobs.c.limit_key,
    where="state = 'running' AND limit_key IS NOT NULL",
)
_partial("ix_perdure_jobs_cancelling", jobs.c.worker_id, where="state = 'running' AND cancel_requested_at IS NOT NULL")
# Each replica on another worker; those that nobody has claimed have no worker and are no duplicates.
_partial("ux_perdure_jobs_replica_of", jobs.c.replica_of, jobs.c.worker_name, where="replica_of IS NOT NULL", unique=True)
_partial("ix_perdure_jobs_deadline", jobs.c.deadline, where="deadline IS NOT NULL AND finished_at IS NULL")
_partial("ix_perdure_jobs_unknown", jobs.c.unknown_since, where="unknown_since IS NOT NULL AND finished_at IS NULL")
_partial("ix_perdure_jobs_replay_of", jobs.c.replay_of, where="replay_of IS NOT NULL")
_partial(
    "ux_perdure_jobs_idempotency", jobs.c.task, jobs.c.idempotency_key, where="idempotency_key IS NOT NULL", unique=True
)
Index("ix_perdure_jobs_state", jobs.c.state, jobs.c.id)
Index("ix_perdure_jobs_task", jobs.c.task, jobs.c.id)
Index("ix_perdure_jobs_bulkhead", jobs.c.bulkhead, jobs.c.id)

Index("ix_perdure_job_tags_lookup", job_tags.c.tag, job_tags.c.value, job_tags.c.job_id)

# What ended in a stretch of time: new ends go to the index's right edge, which costs little.
Index("ix_perdure_attempts_finished", attempts.c.finished_at)

Index("ix_perdure_dead_letters_status", dead_letters.c.status, dead_letters.c.id)
Index("ix_perdure_dead_letters_task", dead_letters.c.task, dead_letters.c.id)
Index("ix_perdure_dead_letters_bulkhead", dead_letters.c.bulkhead, dead_letters.c.id)
Index("ix_perdure_dead_letters_reason", dead_letters.c.reason, dead_letters.c.id)
Index("ix_perdure_dead_letters_fingerprint", dead_letters.c.fingerprint, dead_letters.c.id)
Index("ix_perdure_dead_letters_error_type", dead_letters.c.error_type, dead_letters.c.id)
_partial("ix_perdure_dead_letters_breaker", dead_letters.c.breaker, dead_letters.c.id, where="breaker IS NOT NULL")
_partial(
    "ix_perdure_dead_letters_waiting",
    dead_letters.c.breaker,
    dead_letters.c.task,
    dead_letters.c.id,
    where="status = 'open' AND breaker IS NOT NULL",
)
_partial(
    "ix_perdure_dead_letters_replayed_in", dead_letters.c.replayed_in, dead_letters.c.id, where="replayed_in IS NOT NULL"
)
_partial("ix_perdure_dead_letters_job", dead_letters.c.job_id, where="job_id IS NOT NULL")

Index("ix_perdure_dead_letter_tags_lookup", dead_letter_tags.c.tag, dead_letter_tags.c.value, dead_letter_tags.c.letter_id)

_partial("ix_perdure_dead_letter_groups_changed", dead_letter_groups.c.fingerprint, where="changed")

Index("ix_perdure_dead_letter_hours_hour", dead_letter_hours.c.hour)

_partial(
    "ix_perdure_dead_letter_audit_letter",
    dead_letter_audit.c.letter_id,
    dead_letter_audit.c.id,
    where="letter_id IS NOT NULL",
)
_partial(
    "ix_perdure_dead_letter_audit_fingerprint",
    dead_letter_audit.c.fingerprint,
    dead_letter_audit.c.id,
    where="fingerprint IS NOT NULL",
)

Index("ix_perdure_job_notes_job", job_notes.c.job_id, job_notes.c.id)

_partial("ix_perdure_workers_live", workers.c.heartbeat_at, where="state IN ('healthy', 'suspect')")

Index("ix_perdure_worker_events_worker", worker_events.c.worker_name, worker_events.c.id)

Index("ux_perdure_replication_log_key", replication_log.c.group_name, replication_log.c.key, unique=True)

Index("ix_perdure_counts_at", counts.c.at)

# One open alert about a thing, whoever finds it first.
_partial("ux_perdure_alerts_open", alerts.c.key, where="phase <> 'resolved'", unique=True)
Index("ix_perdure_alerts_rule", alerts.c.rule, alerts.c.id)

_partial("ix_perdure_alert_notifications_due", alert_notifications.c.due_at, where="due_at IS NOT NULL")

Index("ix_perdure_alert_silences_ends", alert_silences.c.ends_at)

Index("ix_perdure_outcome_counts_start", outcome_counts.c.span, outcome_counts.c.start)
