"""What ``app.dead_letters`` takes and gives besides the letters themselves: plain records that encode to JSON."""

from __future__ import annotations

import os
import socket
from datetime import datetime
from typing import Any

from msgspec import Struct, field
from msgspec.structs import asdict

from perdure.model.job_log import LogLine
from perdure.model.records import AttemptRecord, DeadLetterRecord

OPEN, REPLAYED, DISCARDED = "open", "replayed", "discarded"
STATUSES = (OPEN, REPLAYED, DISCARDED)


class LetterFilter(Struct, frozen=True):
    """Which dead letters are meant; None means any.

    Args:
        task: Of this task.
        bulkhead: Of this bulkhead.
        error: Of this error type.
        text: With all of these words in their task, error or arguments; whole words, upper and lower case are the same.
        fingerprint: Of this fault.
        reason: Given up for this reason.
        tag: With this tag and value.
        breaker: That died of this circuit breaker.
        since: Written at this moment or later, epoch seconds.
        until: Written before this moment, epoch seconds.
        status: ``open``, ``replayed`` or ``discarded``.
        replayed_in: Replayed by this bulk replay.
        upto: With this id or a smaller one, which is: not written after it.
    """

    task: str | None = None
    bulkhead: str | None = None
    error: str | None = None
    text: str | None = None
    fingerprint: str | None = None
    reason: str | None = None
    tag: tuple[str, str] | None = None
    breaker: str | None = None
    since: float | None = None
    until: float | None = None
    status: str | None = None
    replayed_in: str | None = None
    upto: str | None = None

    def given(self) -> dict[str, Any]:
        """Return the filters that a caller has set."""
        return {name: value for name, value in asdict(self).items() if value is not None and name != "upto"}


class Actor(Struct, frozen=True):
    """Who does something to dead letters, and from where."""

    who: str
    source: str

    @classmethod
    def of(cls, by: str, source: str | None = None) -> Actor:
        """Return an actor; the source is this process unless another one is named."""
        return cls(by, source or f"python {socket.gethostname()}:{os.getpid()}")


class AuditEntry(Struct, frozen=True):
    """One action on dead letters: who did what, when, from where."""

    id: str
    at: datetime | None
    who: str
    source: str
    action: str
    letter_id: str | None
    fingerprint: str | None
    job_id: str | None
    detail: dict[str, Any]


class DeadLetterGroup(Struct, frozen=True):
    """Dead letters of the same fault.

    Attributes:
        count: Letters that the ledger has now.
        seen: Letters that there ever were, those that were purged as well.
        boomerangs: Those of them that were replays, and died again.
        trend: Letters of each of the last 24 hours, the current one last.
        regressions: How often it came back under another release after it had been dealt with.
        regressed_at: When it did so last, until it is dealt with again; None if it did not.
        regressed_in: The release that it came back under.
        resolved_at: When its last letter was replayed or discarded, or a note was written; None once it came back.
        resolved_in: The release under which that was done.
    """

    fingerprint: str
    task: str
    reason: str
    error_type: str | None
    error: str | None
    count: int
    open: int
    replayed: int
    discarded: int
    seen: int
    boomerangs: int
    first_seen: datetime | None
    last_seen: datetime | None
    note: str | None
    noted_by: str | None
    noted_at: datetime | None
    trend: list[int] = field(default_factory=list)
    regressions: int = 0
    regressed_at: datetime | None = None
    regressed_in: str | None = None
    resolved_at: datetime | None = None
    resolved_in: str | None = None


class LineageEntry(Struct, frozen=True):
    """One job of a line of replays.

    Attributes:
        job_id: The job.
        replay_of: The job that it is a replay of; None for the first one.
        generation: 0 for the first job, 1 for its replays, and so on.
        state: Its state; None when the job was pruned or lives in another environment.
        letter_id: The dead letter that it became, if it did.
        replayed_by: Who replayed that letter last.
    """

    job_id: str
    replay_of: str | None
    generation: int
    state: str | None
    letter_id: str | None = None
    replayed_by: str | None = None


class DeadLetterDetail(Struct, frozen=True):
    """Everything about one dead letter, for the person who has to decide; ``log`` is the last that its job has said."""

    letter: DeadLetterRecord
    attempts: list[AttemptRecord]
    checkpoints: list[dict[str, Any]]
    lineage: list[LineageEntry]
    group: DeadLetterGroup | None
    audit: list[AuditEntry]
    log: list[LogLine]
