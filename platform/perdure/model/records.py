"""What the ledger takes and gives: plain immutable records."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from perdure.model.blob_ref import ELSEWHERE
from perdure.model.clock import to_datetime
from perdure.model.states import DeadReason, JobState, Outcome, Transition

#: A row as a mapping from column names.
Row = Mapping[Any, Any]


class Claim(msgspec.Struct, frozen=True):
    """The right to run a job, valid as long as its fence is the job's newest."""

    job_id: str
    fence: int
    task: str
    bulkhead: str
    args: str
    kwargs: str
    attempt: int
    crashes: int
    snoozes: int
    priority: int
    idempotency_key: str | None
    replay_of: str | None
    tags: str | None
    worker_name: str
    worker_pid: int
    created_at: float
    queued_at: float
    started_at: float
    first_started_at: float
    deadline: float | None
    timeout: float | None
    checkpoint_seq: int
    replica_of: str | None = None
    limit_key: str | None = None
    breaker: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it waited in the plain lane, in which nothing holds a job back but its place in line."""
        return self.limit_key is self.breaker is self.replica_of is None


class Death(msgspec.Struct, frozen=True):
    """Why a job becomes a dead letter."""

    reason: DeadReason
    fingerprint: str
    breaker: str | None = None


class Settlement(msgspec.Struct, frozen=True):
    """How an attempt ends: a transition of the job, and the attempt's record.

    ``delay`` is in seconds, for retries and snoozes; ``ran`` are the seconds that the function ran, where somebody measured
    them; ``burns`` says whether the attempt counts. A job that is released was not begun: it has no outcome and leaves no
    record.
    """

    transition: Transition
    outcome: Outcome | None
    burns: bool = True
    delay: float | None = None
    result: str | None = None
    error_type: str | None = None
    error: str | None = None
    traceback: str | None = None
    death: Death | None = None
    ran: float | None = None

    @property
    def cancelled(self) -> Settlement:
        """The settlement of a job that was to wait and that somebody has cancelled meanwhile."""
        return replace(self, transition=Transition.CANCEL, delay=None)


#: Gives a claimed job back that was not begun, to the place that it had.
RELEASED = Settlement(Transition.RELEASE, None, burns=False)


class Progress(msgspec.Struct, frozen=True):
    """How far a job says it is."""

    done: float
    total: float | None
    message: str
    at: datetime | None

    @property
    def fraction(self) -> float | None:
        """The part that is done, from 0 to 1; None when the total is not known."""
        return min(self.done / self.total, 1.0) if self.total else None


class AttemptRecord(msgspec.Struct, frozen=True):
    """One attempt that ended."""

    number: int
    outcome: str
    worker: str | None
    started_at: datetime | None
    finished_at: datetime | None
    error_type: str | None
    error: str | None
    traceback: str | None
    worker_pid: int | None

    @classmethod
    def of(cls, row: Row) -> AttemptRecord:
        """Make the record of a row."""
        return cls(
            number=row["number"],
            outcome=row["outcome"],
            worker=row["worker"],
            started_at=to_datetime(row["started_at"]),
            finished_at=to_datetime(row["finished_at"]),
            error_type=row["error_type"],
            error=row["error"],
            traceback=row["traceback"],
            worker_pid=row["worker_pid"],
        )


class JobRecord(msgspec.Struct, frozen=True):
    """A job as the ledger has it at one moment."""

    id: str
    task: str
    bulkhead: str
    state: JobState
    priority: int
    args: list[Any]
    kwargs: dict[str, Any]
    tags: dict[str, str]
    idempotency_key: str | None
    attempt: int
    crashes: int
    snoozes: int
    fence: int
    worker: str | None
    worker_pid: int | None
    error_type: str | None
    error: str | None
    progress: Progress | None
    checkpoint_seq: int
    checkpointed_at: datetime | None
    created_at: datetime | None
    run_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    deadline: datetime | None
    dead_letter_id: str | None
    replay_of: str | None
    replica_of: str | None
    breaker: str | None
    limit_key: str | None
    cancel_requested_at: datetime | None
    result_json: str | None = None
    #: Columns that are sealed or offloaded and could not be opened here, each with why.
    unopened: dict[str, str] = msgspec.field(default_factory=dict)

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return _without(self, "result_json")

    def __repr__(self) -> str:
        return _said(self)

    @classmethod
    def of(cls, row: Row) -> JobRecord:
        """Make the record of a row that has its state as people see it; see :func:`conditions.seen_state`."""
        times = ("checkpointed_at", "created_at", "run_at", "started_at", "finished_at", "deadline")
        same = ("id", "task", "bulkhead", "priority", "idempotency_key", "attempt", "crashes", "snoozes", "fence")
        more = ("worker_pid", "error_type", "error", "checkpoint_seq", "dead_letter_id", "replay_of", "replica_of")
        last = ("breaker", "limit_key")
        return cls(
            state=JobState(row["seen_state"]),
            args=_json(row["args"], list),
            kwargs=_json(row["kwargs"], dict),
            unopened=_stored(row, ("args", "kwargs", "result", "error")),
            tags=msgspec.json.decode(row["tags"]) if row["tags"] else {},
            worker=row["worker_name"],
            progress=_progress(row),
            cancel_requested_at=to_datetime(row["cancel_requested_at"]),
            result_json=row["result"],
            **({name: row[name] for name in (*same, *more, *last)} | {name: to_datetime(row[name]) for name in times}),
        )


class DeadLetterRecord(msgspec.Struct, frozen=True):
    """A job (or a message) that was given up, as the ledger has it.

    Attributes:
        attempts: How many times it was tried.
        checkpoint_seq: The checkpoint that it had reached; 0 for none.
        breaker: The circuit breaker that it died of, if any.
        replay_of: The job that its job was a replay of.
        generation: Replays that lie between the first letter and this one: 0 is no replay, 1 a replay that died again.
        replayed_in: The bulk replay that replayed it.
        raw: A quarantined message: a line of JSON (headers, content type), and its body.
    """

    id: str
    job_id: str | None
    task: str
    bulkhead: str | None
    args: list[Any]
    kwargs: dict[str, Any]
    reason: str
    error_type: str | None
    error: str | None
    traceback: str | None
    fingerprint: str
    created_at: datetime | None
    status: str
    replayed_as: str | None
    replayed_by: str | None
    replayed_at: datetime | None
    replayed_in: str | None
    resolved_reason: str | None
    tags: dict[str, str]
    priority: int | None
    timeout: float | None
    breaker: str | None
    attempts: int
    checkpoint_seq: int
    replay_of: str | None
    generation: int
    note: str | None
    noted_by: str | None
    noted_at: datetime | None
    raw: bytes | None = None
    #: Columns that are sealed or offloaded and could not be opened here, each with why.
    unopened: dict[str, str] = msgspec.field(default_factory=dict)

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return _without(self, "raw")

    def __repr__(self) -> str:
        return _said(self)

    @classmethod
    def of(cls, row: Row) -> DeadLetterRecord:
        """Make the record of a row."""
        times = ("created_at", "replayed_at", "noted_at")
        decoded = ("args", "kwargs", "tags", "raw", "unopened", *times)
        return cls(
            args=_json(row["args"], list),
            kwargs=_json(row["kwargs"], dict),
            unopened=_stored(row, ("args", "kwargs", "error", "traceback")),
            tags=msgspec.json.decode(row["tags"]) if row["tags"] else {},
            raw=bytes(row["raw"]) if row["raw"] is not None else None,
            **({n: row[n] for n in cls.__struct_fields__ if n not in decoded} | {n: to_datetime(row[n]) for n in times}),
        )


class WorkerRecord(msgspec.Struct, frozen=True):
    """A worker incarnation as the ledger has it; ``heartbeat_age`` in seconds.

    ``outvoted`` counts the votes that its name has lost since somebody trusted it, ``barred`` says whether it takes part in
    no more of them, and ``unfit`` why a job has declared its node unfit.
    """

    id: str
    name: str
    bulkhead: str
    host: str
    pid: int
    concurrency: int
    state: str
    draining: bool
    started_at: datetime | None
    heartbeat_at: datetime | None
    heartbeat_age: float
    running: int
    outvoted: int = 0
    barred: bool = False
    unfit: str | None = None


def field_of(column: str, text: str) -> tuple[str, Any]:
    """Return the name and the value of the record's field that a column's text becomes."""
    if column in ("args", "kwargs"):
        return column, msgspec.json.decode(text)
    return ("result_json" if column == "result" else column), text


def _without(record: msgspec.Struct, hidden: str) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in msgspec.structs.asdict(record).items() if name != hidden]


def _said(record: JobRecord | DeadLetterRecord) -> str:
    return f"{type(record).__name__}({', '.join(f'{name}={value!r}' for name, value in record.__rich_repr__())})"


def _json(text: str | None, kind: type[Any]) -> Any:
    return msgspec.json.decode(text) if text and not text.startswith(ELSEWHERE) else kind()


def _stored(row: Row, columns: tuple[str, ...]) -> dict[str, str]:
    return {name: row[name] for name in columns if row[name] and row[name].startswith(ELSEWHERE)}


def _progress(row: Row) -> Progress | None:
    if row["progress_done"] is None:
        return None
    return Progress(
        row["progress_done"], row["progress_total"], row["progress_message"] or "", to_datetime(row["progress_at"])
    )
