"""The key of a replay: the one of what it replays, unless its arguments are others."""

from __future__ import annotations

from typing import Any

import pytest

from perdure import JobContext
from perdure.model.ids import new_id
from perdure.model.new_job import NewJob
from support.ledgers import claimed


def submit(ledger: Any, *, digest: Any = "d", replay_of: Any = None, key: str | None = None) -> Any:
    new = NewJob(
        id=new_id(),
        task="t",
        bulkhead="normal",
        args="[]",
        kwargs="{}",
        payload_digest=digest,
        priority=5,
        replay_of=replay_of,
        idempotency_key=key,
    )
    [submitted] = ledger.jobs.submit([new])
    return submitted.id


def test_job_without_a_key_is_known_by_its_id(ledger: Any) -> None:
    job = submit(ledger)
    assert ledger.jobs.effect_key(job) == job


@pytest.mark.parametrize("key", [None, "order-1"])
def test_replay_of_a_replay_keeps_the_first_key(ledger: Any, key: str) -> None:
    first = submit(ledger, key=key)
    third = submit(ledger, replay_of=submit(ledger, replay_of=first))
    assert ledger.jobs.effect_key(third) == (key or first)


def test_replay_with_other_arguments_has_a_key_of_its_own(ledger: Any) -> None:
    corrected = submit(ledger, digest="other", replay_of=submit(ledger, key="order-1"))
    again = submit(ledger, digest="other", replay_of=corrected)
    assert ledger.jobs.effect_key(corrected) == corrected
    assert ledger.jobs.effect_key(again) == corrected


def test_replay_of_a_pruned_job_has_its_own_key(ledger: Any) -> None:
    orphan = submit(ledger, replay_of=new_id())
    assert ledger.jobs.effect_key(orphan) == orphan


def test_context_of_a_replay_has_the_key(ledger: Any) -> None:
    first = submit(ledger)
    replay = submit(ledger, replay_of=first)
    contexts = [JobContext(claimed(ledger, job), ledger) for job in (first, replay)]
    assert [ctx.idempotency_key for ctx in contexts] == [first, first]
