"""What is said of workers besides their states: that they were outvoted, or that their node is unfit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perdure import Perdure
from perdure.errors import InvalidArguments
from perdure.ledger.jobs.claim import Claimer
from perdure.model.worker_health import Verdict, WorkerEvent, WorkerState
from perdure_workers.worker.choice import Choice
from perdure_workers.worker.replicas import coordinate
from support.ledgers import claimed


@pytest.fixture
def strict(migrated_url: str, redis_url: str, tmp_path: Path) -> Any:
    """An application that bars a worker after two lost votes, with a job that three workers vote on."""
    made = Perdure(ledger_url=migrated_url, broker_url=redis_url, home=tmp_path / "home", max_outvoted=2)
    made.register(lambda: 1, name="vote", replicas=3)
    yield made
    made.close()


@pytest.fixture
def worker(strict: Perdure) -> Callable[..., str]:
    """A function that writes the row of a worker of that name and returns its id."""

    def register(name: str) -> str:
        row = {"id": f"id-{name}", "name": name, "bulkhead": "normal", "host": "a", "pid": 1, "concurrency": 1}
        strict.ledger.workers.register({**row, "lease_ttl": 5.0, "lock_path": None})
        return f"id-{name}"

    return register


def error_of(app: Perdure, check: str) -> str:
    return next(each.error for each in app.health().checks if each.name == check)


def child_of(app: Perdure, name: str) -> Choice:
    return Choice(app, Claimer("normal", f"id-{name}", name, 4711, tuple(app.tasks)))


def test_a_worker_that_lost_too_many_votes_takes_part_in_no_more_until_it_is_trusted(
    strict: Perdure, worker: Callable[..., str]
) -> None:
    for name in ("w1", "w2", "w3"):
        worker(name)
    told: list[WorkerEvent] = []
    strict.workers.subscribe(told.append)
    for vote in ("in job 1", "in job 1", "in job 2"):  # a repeat counts once
        strict.workers.outvoted("w3", vote)
    assert [(event.name, event.target) for event in told] == [("w3", Verdict.OUTVOTED)] * 2
    assert [(each.name, each.outvoted, each.barred) for each in strict.workers.list()] == [
        ("w1", 0, False),
        ("w2", 0, False),
        ("w3", 2, True),
    ]
    assert "w3 was outvoted 2 times, and is barred from votes" in error_of(strict, "nodes")

    job = strict.task("vote").submit()
    coordinate(strict, claimed(strict.ledger, job.id, worker="id-w1"), strict.task("vote"))
    assert [child_of(strict, name).claim(1) != [] for name in ("w1", "w2", "w3")] == [True, True, False]
    [replica] = [each for each in strict.ledger.running.replicas_of(job.id) if each.state == "queued"]
    [reason] = strict.jobs.why(replica.id)
    assert "1 missing. Barred are w3: perdure workers trust NAME" in reason.text

    strict.workers.trust("w3", reason="its memory was replaced", by="ann")
    assert error_of(strict, "nodes") == ""
    assert not strict.workers.list()[2].barred
    assert child_of(strict, "w3").claim(1) != []
    strict.workers.outvoted("w3", "in job 3")
    assert strict.workers.list()[2].outvoted == 1, "what was before it was trusted is forgotten"


def test_the_job_that_waits_for_a_vote_says_that_a_worker_is_missing(strict: Perdure, worker: Callable[..., str]) -> None:
    worker("w1")
    job = strict.task("vote").submit()
    claim = claimed(strict.ledger, job.id, worker="id-w1")
    strict.ledger.jobs.settle(claim, coordinate(strict, claim, strict.task("vote")))
    assert [reason.code for reason in strict.jobs.why(job.id)] == ["snoozed", "no_voter"]
    for name in ("w2", "w3"):
        worker(name)
    assert [reason.code for reason in strict.jobs.why(job.id)] == ["snoozed"]


def test_verdicts_are_no_states(strict: Perdure, worker: Callable[..., str]) -> None:
    worker_id = worker("w1")
    strict.ledger.workers.change_state(worker_id, WorkerState.FAILED, "killed")
    strict.workers.outvoted("w1", "in job 1")
    row = {"id": "again", "name": "w1", "bulkhead": "normal", "host": "a", "pid": 1, "concurrency": 1}
    event = strict.ledger.workers.register({**row, "lease_ttl": 5.0, "lock_path": None})
    assert event is not None
    assert event.is_recovery
    with pytest.raises(InvalidArguments, match="no worker 'w9'"):
        strict.workers.trust("w9", reason="x", by="ann")


def test_a_node_that_is_unfit_is_told_of_until_its_worker_is_back(strict: Perdure, worker: Callable[..., str]) -> None:
    worker_id = worker("w1")
    event = strict.ledger.workers.declare_unfit(worker_id, "the disk is read-only")
    assert event is not None
    assert event.is_alarming
    assert strict.ledger.workers.declare_unfit(worker_id, "said twice") is None
    [record] = strict.workers.list()
    assert (record.draining, record.unfit) == (True, "the disk is read-only")
    strict.ledger.workers.change_state(worker_id, WorkerState.GONE, "stopped")
    assert "the node of w1 unfit: the disk is read-only" in error_of(strict, "nodes")
    row = {"id": "again", "name": "w1", "bulkhead": "normal", "host": "a", "pid": 1, "concurrency": 1}
    strict.ledger.workers.register({**row, "lease_ttl": 5.0, "lock_path": None})
    assert error_of(strict, "nodes") == ""
