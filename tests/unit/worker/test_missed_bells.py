"""A bell was missed when an idle child found by a look what it should have been told of, and only then."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.model.records import Claim
from perdure_workers.worker.missed_bells import missed

NOW = 1_000.0


def a_claim(waited: float, **values: Any) -> Claim:
    of = {"job_id": "j", "fence": 1, "task": "t", "bulkhead": "normal", "args": "[]", "kwargs": "{}", "attempt": 1}
    of |= {"crashes": 0, "snoozes": 0, "priority": 5, "worker_name": "w", "worker_pid": 1, "checkpoint_seq": 0}
    of |= dict.fromkeys(("idempotency_key", "replay_of", "tags", "deadline", "timeout"))
    at = {"created_at": NOW, "queued_at": NOW, "started_at": NOW + waited, "first_started_at": NOW + waited}
    return Claim(**{**of, **at, **values})


@pytest.mark.parametrize(
    ("claim", "idle", "count"),
    [
        (a_claim(0.5), 10.0, 1),
        (a_claim(0.01), 10.0, 0),  # its bell may be on its way
        (a_claim(0.5), 0.3, 0),  # the child was busy when it came, as in a burst
        (a_claim(5.0), 10.0, 0),  # something else held it back
        (a_claim(0.5, created_at=NOW - 60), 10.0, 0),  # it was to wait until now
        (a_claim(0.5, fence=2), 10.0, 0),  # it was retried
        (a_claim(0.5, limit_key="a"), 10.0, 0),
    ],
)
def test_what_counts(claim: Claim, idle: float, count: int) -> None:
    assert missed([claim], idle) == count
