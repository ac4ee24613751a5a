"""perdure: fault-tolerant jobs on Celery. The ledger owns the job, the broker rings a bell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.system.lazy_names import lazy_names

if TYPE_CHECKING:
    from perdure.app import Perdure
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
    from perdure.model.alerts.rule import Measured
    from perdure.model.auto_replay import AutoReplay
    from perdure.model.job_options import SubmitOptions
    from perdure.model.outcomes import Discard, NodeUnfit, RetryAfter, Snooze
    from perdure.model.retry_policy import RetryPolicy
    from perdure.model.secrets import Secret
    from perdure.model.states import JobState
    from perdure.running.context import JobContext
    from perdure.submit.handle import JobHandle
    from perdure.submit.task import AsyncTask, Task

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
    "Measured",
    "NodeUnfit",
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

#: Where each name is: loaded when it is asked for, so that a command or a setting does not wait for the database's library.
_WHERE = {
    "AsyncTask": "perdure.submit.task",
    "AutoReplay": "perdure.model.auto_replay",
    "BulkheadFull": "perdure.errors",
    "Discard": "perdure.model.outcomes",
    "IdempotencyConflict": "perdure.errors",
    "InvalidArguments": "perdure.errors",
    "JobCancelled": "perdure.errors",
    "JobContext": "perdure.running.context",
    "JobDead": "perdure.errors",
    "JobHandle": "perdure.submit.handle",
    "JobState": "perdure.model.states",
    "LeaseLost": "perdure.errors",
    "LedgerUnavailable": "perdure.errors",
    "Measured": "perdure.model.alerts.rule",
    "NodeUnfit": "perdure.model.outcomes",
    "Perdure": "perdure.app",
    "PerdureError": "perdure.errors",
    "RetryAfter": "perdure.model.outcomes",
    "RetryPolicy": "perdure.model.retry_policy",
    "Secret": "perdure.model.secrets",
    "Snooze": "perdure.model.outcomes",
    "SubmitOptions": "perdure.model.job_options",
    "Task": "perdure.submit.task",
    "UnknownTask": "perdure.errors",
    "Unserialisable": "perdure.errors",
}


__getattr__, __dir__ = lazy_names(__name__, _WHERE)
