"""The key under which a job's effects are known to others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.ledger import direct

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

_JOB = "SELECT idempotency_key, payload_digest, replay_of FROM perdure_jobs WHERE id = :of_job"


def effect_key(connection: Where, job_id: str) -> str:
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
    key, arguments = job_id, None
    at: str | None = job_id
    while at is not None and (found := direct.rows(connection, _JOB, {"of_job": at})):
        [(own_key, own_arguments, origin)] = found
        if arguments not in (None, own_arguments):
            break
        key, arguments, at = own_key or at, own_arguments, origin
    return key
