"""perdure: fault-tolerant jobs on Celery. The ledger owns the job, the broker rings a bell."""

from perdure.app import Perdure
from perdure.context import JobContext
from perdure.control import Discard, RetryAfter, Snooze
from perdure.errors import (
    BulkheadFull,
    IdempotencyConflict,
    InvalidArguments,
    JobCancelled,
    JobDead,
    LeaseLost,
    LedgerUnavailable,
    PerdureError,
    UnknownTask,
    Unserialisable,
)
from perdure.handle import JobHandle
from perdure.letters.auto_replay import AutoReplay
from perdure.masking import Secret
from perdure.options import SubmitOptions
from perdure.retry import RetryPolicy
from perdure.states import JobState
from perdure.task import AsyncTask, Task

__all__ = [
    "AsyncTask",
    "AutoReplay",
    "BulkheadFull",
    "Discard",
    "IdempotencyConflict",
    "InvalidArguments",
    "JobCancelled",
    "JobContext",
    "JobDead",
    "JobHandle",
    "JobState",
    "LeaseLost",
    "LedgerUnavailable",
    "Perdure",
    "PerdureError",
    "RetryAfter",
    "RetryPolicy",
    "Secret",
    "Snooze",
    "SubmitOptions",
    "Task",
    "UnknownTask",
    "Unserialisable",
]
