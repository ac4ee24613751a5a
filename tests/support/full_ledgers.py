"""Ledgers that have been in use for a while: many finished jobs, each with an attempt, a tag and a dead letter."""

from __future__ import annotations

from sqlalchemy import text

from perdure.ledger import Ledger

FILL = """
INSERT INTO perdure_jobs (id, task, bulkhead, state, priority, args, kwargs, payload_digest, created_at, queued_at,
                  run_at, worker_id, worker_pid, idempotency_key, idempotency_expires_at, fence, attempt)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :jobs),
     kinds AS (SELECT i, CASE WHEN i % :every = 0 THEN (i / :every) % 5 ELSE 9 END AS kind FROM n)
SELECT {id}, CASE WHEN i % 3 = 0 THEN 'tests.add' ELSE 'tests.other' END,
       CASE WHEN i % 5 = 0 THEN 'critical' ELSE 'normal' END,
       CASE kind WHEN 0 THEN 'queued' WHEN 1 THEN 'running' WHEN 2 THEN 'scheduled' WHEN 3 THEN 'retrying'
                 WHEN 4 THEN 'dead' ELSE 'succeeded' END,
       i % 3, '[]', '{{}}', 'd', 1.7e9 + i, 1.7e9 + i,
       CASE WHEN kind IN (2, 3) THEN 4e9 WHEN kind = 0 THEN 1.7e9 + i END, CASE kind WHEN 1 THEN 'w-' || (i % 7) END,
       CASE kind WHEN 1 THEN i END, CASE WHEN i % 2 = 0 THEN 'key-' || i END, 4e9, 1, 1
FROM kinds
"""
FILL_ATTEMPTS = """
INSERT INTO perdure_attempts (job_id, number, outcome, finished_at) SELECT id, 1, 'succeeded', created_at FROM perdure_jobs
"""
FILL_TAGS = (
    "INSERT INTO perdure_job_tags (job_id, tag, value) SELECT id, 'tenant', 'tenant-' || (priority) FROM perdure_jobs"
)
FILL_LETTERS = """
INSERT INTO perdure_dead_letters (id, job_id, task, bulkhead, args, kwargs, reason, error_type, error, fingerprint, breaker,
                          created_at, status)
SELECT id, id, task, bulkhead, '[]', '{}', 'exhausted', 'E' || priority, 'card declined', 'f' || (fence + priority),
       CASE WHEN priority = 1 THEN 'payments' END, created_at, CASE WHEN state = 'dead' THEN 'open' ELSE 'replayed' END
FROM perdure_jobs
"""
FILL_LETTER_TAGS = (
    "INSERT INTO perdure_dead_letter_tags (letter_id, tag, value) SELECT job_id, tag, value FROM perdure_job_tags"
)
FILL_WORDS = """
INSERT INTO perdure_dead_letter_words (word, letter_id)
SELECT word, id FROM (SELECT 'declined' AS word, id FROM perdure_dead_letters
                      UNION ALL SELECT 'card', id FROM perdure_dead_letters
                      UNION ALL SELECT 'w' || CAST(created_at - 1.7e9 AS INTEGER), id FROM perdure_dead_letters) AS w
ORDER BY 1, 2
"""
FILL_GROUPS = """
INSERT INTO perdure_dead_letter_groups (fingerprint, task, reason, error_type, error, seen, open, replayed, discarded,
                                boomerangs, first_seen, last_seen, changed)
SELECT fingerprint, max(task), 'exhausted', max(error_type), max(error), count(*),
       count(*) FILTER (WHERE status = 'open'), count(*) FILTER (WHERE status = 'replayed'), 0, 0, min(created_at),
       max(created_at), FALSE
FROM perdure_dead_letters GROUP BY fingerprint
"""
FILL_HOURS = """
INSERT INTO perdure_dead_letter_hours (fingerprint, hour, count)
SELECT fingerprint, CAST(created_at / 3600 - 0.5 AS INTEGER) AS h, count(*) FROM perdure_dead_letters GROUP BY 1, 2
"""
#: UUIDv7s of the moments at which the rows are made, since lists "since" a moment go by the ids.
IDS = {
    "sqlite": "substr(printf('%012x', 1700000000000 + i * 1000), 1, 8) || '-' || "
    "substr(printf('%012x', 1700000000000 + i * 1000), 9) || printf('-7000-8000-%012x', i)",
    "postgresql": "substr(lpad(to_hex(1700000000000 + i::bigint * 1000), 12, '0'), 1, 8) || '-' || "
    "substr(lpad(to_hex(1700000000000 + i::bigint * 1000), 12, '0'), 9) || '-7000-8000-' || lpad(to_hex(i), 12, '0')",
}


FILL_AUDIT = """
INSERT INTO perdure_dead_letter_audit (id, at, who, source, action, letter_id, fingerprint)
SELECT id, created_at, 'ann', 'a test', 'replay', id, fingerprint FROM perdure_dead_letters WHERE status = 'replayed'
"""
FILL_OTHERS = (
    FILL_ATTEMPTS,
    FILL_TAGS,
    FILL_LETTERS,
    FILL_LETTER_TAGS,
    FILL_WORDS,
    FILL_GROUPS,
    FILL_HOURS,
    FILL_AUDIT,
)


def fill(ledger: Ledger, jobs: int, *, statistics: bool, every: int = 100) -> None:
    """Write that many jobs, each ``every``-th one unfinished or dead; gather the database's statistics if asked to."""
    with ledger.database.engine.begin() as connection:
        connection.execute(text(FILL.format(id=IDS[ledger.database.dialect])), {"jobs": jobs, "every": every})
        for statement in FILL_OTHERS:
            connection.execute(text(statement))
        if statistics:
            connection.execute(text("ANALYZE"))
