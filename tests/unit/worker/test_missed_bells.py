"""A bell was missed when an idle child found by a look what it should have been told of, and only then."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.model.records import Claim
from perdure_workers.worker.missed_bells import MissedBells

NOW = 1_000.0


def a_claim(waited: float, **values: Any) -> Claim:
    of = {"job_id": "j", "fence": 1, "task": "t", "bulkhead": "normal", "args": "[]", "kwargs": "{}", "attempt": 1}
    of |= {"crashes": 0, "snoozes": 0, "priority": 5, "worker_name": "w", "worker_pid": 1, "checkpoint_seq": 0}
    of |= dict.fromkeys(("idempotency_key", "replay_of", "tags", "deadline", "timeout"))
    at = {"created_at": NOW, "queued_at": NOW, "started_at": NOW + waited, "first_started_at": NOW + waited}
    return Claim(**{**of, **at, **values})


class Child:
    """A child with its own time, which has been idle for long."""

    def __init__(self) -> None:
        self.now, self.heard_at, self.count = 1_000.0, 0.0, 0
        self.bells = MissedBells(lambda: self.heard_at, self.counted, lambda: self.now)
        self.now += 60

    def counted(self) -> None:
        self.count += 1

    def claim(self, *claims: Claim) -> bool:
        return self.bells.is_told(claims, self.now)

    def later(self) -> int:
        self.now += 5
        self.claim()
        return self.count


@pytest.mark.parametrize(
    ("claim", "count"),
    [
        (a_claim(0.5), 1),
        (a_claim(0.01), 1),
        (a_claim(5.0), 0),  # something else held it back
        (a_claim(0.5, created_at=NOW - 60), 0),  # it was to wait until now
        (a_claim(0.5, fence=2), 0),  # it was retried
        (a_claim(0.5, limit_key="a"), 0),
    ],
)
def test_what_no_bell_has_told_of(claim: Claim, count: int) -> None:
    child = Child()
    assert child.claim(claim) is not bool(count)
    assert child.count == 0, "its bell may be slow"
    assert child.later() == count


def test_a_bell_before_or_after_was_not_lost() -> None:
    child = Child()
    child.heard_at = child.now - 0.55
    assert child.claim(a_claim(0.5))
    child.heard_at = child.now - 1
    assert not child.claim(a_claim(0.5))
    child.heard_at = child.now + 1.5
    assert child.later() == 0


def test_what_came_while_the_child_was_busy_is_a_backlog() -> None:
    child = Child()
    child.bells.is_idle()
    child.now += 0.3
    assert child.claim(a_claim(0.5), a_claim(0.4))
    assert not child.claim(a_claim(0.5), a_claim(0.2))
    assert child.later() == 1
