"""A dead letter with everything that is known of it, as plain values: what moves from one environment to another."""

from __future__ import annotations

import msgspec

#: What an export says of itself; another number means another layout.
FORMAT = "perdure.dead-letter/1"


class ExportedAttempt(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An attempt of a letter's job; times are epoch seconds."""

    number: int
    outcome: str
    finished_at: float
    worker: str | None = None
    worker_pid: int | None = None
    started_at: float | None = None
    error_type: str | None = None
    error: str | None = None
    traceback: str | None = None


class ExportedCheckpoint(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A checkpoint of a letter's job."""

    name: str
    seq: int
    data: bytes
    saved_at: float


class ExportedLines(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Lines that a letter's job has said, as the ledger keeps them."""

    fence: int
    first: int
    attempt: int
    lines: int
    bytes: int
    data: str


class ExportedLetter(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A dead letter; texts of JSON stay texts, bytes are base64 in JSON, times are epoch seconds."""

    id: str
    task: str
    reason: str
    fingerprint: str
    created_at: float
    status: str
    job_id: str | None = None
    bulkhead: str | None = None
    args: str | None = None
    kwargs: str | None = None
    tags: str | None = None
    priority: int | None = None
    timeout: float | None = None
    error_type: str | None = None
    error: str | None = None
    traceback: str | None = None
    breaker: str | None = None
    attempts: int = 0
    checkpoint_seq: int = 0
    replay_of: str | None = None
    generation: int = 0
    raw: bytes | None = None
    replayed_as: str | None = None
    replayed_by: str | None = None
    replayed_at: float | None = None
    replayed_in: str | None = None
    resolved_reason: str | None = None
    note: str | None = None
    noted_by: str | None = None
    noted_at: float | None = None


class Exported(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One line of an export. A job that said nothing has no ``log``, so that releases which know of none can read it."""

    format: str
    letter: ExportedLetter
    attempts: list[ExportedAttempt] = []
    checkpoints: list[ExportedCheckpoint] = []
    log: list[ExportedLines] = []
