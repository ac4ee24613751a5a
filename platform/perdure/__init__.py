"""perdure: fault-tolerant jobs on Celery. The ledger owns the job, the broker rings a bell."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

#: Where each name is: loaded when it is asked for, so that a command or a setting does not wait for the database's library.
_WHERE = {
    "AsyncTask": "perdure.task",
    "AutoReplay": "perdure.letters.auto_replay",
    "BulkheadFull": "perdure.errors",
    "Discard": "perdure.control",
    "IdempotencyConflict": "perdure.errors",
    "InvalidArguments": "perdure.errors",
    "JobCancelled": "perdure.errors",
    "JobContext": "perdure.context",
    "JobDead": "perdure.errors",
    "JobHandle": "perdure.handle",
    "JobState": "perdure.states",
    "LeaseLost": "perdure.errors",
    "LedgerUnavailable": "perdure.errors",
    "Perdure": "perdure.app",
    "PerdureError": "perdure.errors",
    "RetryAfter": "perdure.control",
    "RetryPolicy": "perdure.retry",
    "Secret": "perdure.masking",
    "Snooze": "perdure.control",
    "SubmitOptions": "perdure.options",
    "Task": "perdure.task",
    "UnknownTask": "perdure.errors",
    "Unserialisable": "perdure.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_WHERE[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
