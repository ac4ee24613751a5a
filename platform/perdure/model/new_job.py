"""What a submit takes and gives: plain immutable records. Who only submits needs no others."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from perdure.model.states import JobState


class NewJob(Struct, frozen=True):
    """A job to be written. ``delay`` and ``idempotency_ttl`` are seconds; ``run_at`` and ``deadline`` epoch seconds."""

    id: str
    task: str
    bulkhead: str
    args: str
    kwargs: str
    payload_digest: str
    priority: int = 5
    delay: float | None = None
    run_at: float | None = None
    tags: Mapping[str, str] | None = None
    idempotency_key: str | None = None
    idempotency_ttl: float = 0.0
    replay_of: str | None = None
    deadline: float | None = None
    timeout: float | None = None
    replica_of: str | None = None
    breaker: str | None = None
    limit_key: str | None = None

    @property
    def first_state(self) -> JobState:
        """The state in which it is written; with a ``run_at`` that has passed it is queued by the database."""
        return JobState.SCHEDULED if self.delay or self.run_at is not None else JobState.QUEUED


class Submitted(Struct, frozen=True):
    """What became of a submitted job: its id (the first job's one if it was a duplicate) and state."""

    id: str
    state: JobState
    deduplicated: bool = False
