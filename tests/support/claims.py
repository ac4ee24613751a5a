"""Claims and errors as a worker's child has them."""

from __future__ import annotations

from typing import Any

from perdure.model.records import Claim

NOW = 1_000_000.0


def claim(attempt: int = 1, **changes: Any) -> Claim:
    values: dict[str, Any] = {
        "job_id": "j",
        "fence": attempt,
        "task": "shop.buy",
        "bulkhead": "normal",
        "args": "[]",
        "kwargs": "{}",
        "attempt": attempt,
        "crashes": 0,
        "snoozes": 0,
        "priority": 5,
        "idempotency_key": None,
        "replay_of": None,
        "tags": None,
        "worker_name": "w",
        "worker_pid": 1,
        "created_at": NOW - 100,
        "queued_at": NOW - 100,
        "started_at": NOW,
        "first_started_at": NOW - 50,
        "deadline": None,
        "timeout": None,
        "checkpoint_seq": 0,
    }
    return Claim(**(values | changes))


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught
