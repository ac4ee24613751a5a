"""Where a replayed job comes from."""

from __future__ import annotations

from sqlalchemy import Connection, select

from perdure.ledger.schema import jobs


def effect_key(connection: Connection, job_id: str) -> str:
    """Return the key under which a job's effects are known to others.

    That of a replay is the one of the job that it replays, as long as their arguments are the same: the first job may have
    reached the other side before it died, and only the same key lets that side see it. With other arguments the replay is
    something new, and the old key would get it mistaken for what it corrects.

    Args:
        connection: Where to read.
        job_id: The job.

    Returns:
        The key of the oldest such job: its idempotency key, or else its id.
    """
    wanted = (jobs.c.id, jobs.c.idempotency_key, jobs.c.replay_of, jobs.c.payload_digest)
    row = connection.execute(select(*wanted).where(jobs.c.id == job_id)).one_or_none()
    while row is not None and row.replay_of is not None:
        before = connection.execute(select(*wanted).where(jobs.c.id == row.replay_of)).one_or_none()
        if before is None or before.payload_digest != row.payload_digest:
            break
        row = before
    return job_id if row is None else row.idempotency_key or row.id
