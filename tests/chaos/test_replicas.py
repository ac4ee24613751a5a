"""A job with replicas runs on different workers, and the majority decides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from perdure import JobDead
from perdure.stores.encryption.cipher import KeyRing
from support.cluster import PATIENCE, Cluster
from support.waiting import wait_until

pytestmark = pytest.mark.chaos


@pytest.fixture
def start(make_guarded: Callable[..., Cluster], redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Cluster]:
    """A function that starts three workers on a database, with given settings."""

    def start(ledger_url: str, **settings: str) -> Cluster:
        made = make_guarded(ledger_url, redis_url, **settings)
        started = []
        for name in ("w1", "w2", "w3"):
            monkeypatch.setenv("VOTER", name)
            started.append(made.start("worker", "normal", "-c", "2", "-n", name, name=name))
        for worker in started:
            made.await_ready(worker)
        return made

    return start


def test_three_workers_run_it_and_the_majority_decides(start: Callable[..., Cluster], ledger_url: str) -> None:
    cluster = start(ledger_url)
    agreed, lied, failed, split = (cluster.submit("vote", how) for how in ("agree", "one lies", "one fails", "all differ"))

    assert agreed.wait(PATIENCE) == {"answer": "42"}
    assert agreed.error is None
    assert {str(replica.worker).split("@")[0] for replica in agreed.replicas()} == {"w1", "w2", "w3"}
    for job in (lied, failed):
        assert job.wait(PATIENCE) == {"answer": "42"}
        assert "not: w3@" in str(job.error)
        assert job.record.attempt == 1
    with pytest.raises(JobDead) as dead:
        split.wait(PATIENCE)
    letters = cluster.app.dead_letters.list()
    assert [(letter.id, letter.reason) for letter in letters] == [(dead.value.dead_letter_id, "no_quorum")]
    [outvoted] = [event for event in cluster.app.workers.events() if event.target == "outvoted"]
    assert outvoted.name.startswith("w3@")
    assert lied.id in outvoted.reason
    assert all(f'{{"answer":"{worker}"}}' in str(letters[0].error) for worker in ("w1", "w2", "w3"))


def test_sealed_and_offloaded_answers_are_counted(start: Callable[..., Cluster], sqlite_url: str, tmp_path: Path) -> None:
    keys, blobs = KeyRing.generate("k1"), str(tmp_path / "blobs")
    cluster = start(sqlite_url, encryption_keys=keys, blob_store=blobs, offload_threshold="1024")

    agreed, lied = cluster.submit("vote", "agree", 5000), cluster.submit("vote", "one lies")

    assert agreed.wait(PATIENCE) == {"answer": "42".ljust(5000, ".")}
    assert lied.wait(PATIENCE) == {"answer": "42"}
    assert "not: w3@" in str(lied.error)
    assert '{"answer":"w3"}' in str(lied.error)
    engine = create_engine(sqlite_url)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT args, result, error FROM perdure_jobs")).all()
    engine.dispose()
    assert len(rows) == 8
    assert sum(str(row.result).startswith("blob:") for row in rows) == 4
    assert not any("answer" in str(row) or "agree" in str(row) or "lies" in str(row) for row in rows)


def test_cancelling_it_cancels_its_replicas_and_none_of_them_writes(start: Callable[..., Cluster], ledger_url: str) -> None:
    cluster = start(ledger_url)
    waits = cluster.submit("vote", "wait")
    wait_until(lambda: len(cluster.effects_of("vote")) == 3, PATIENCE, message=lambda: cluster.describe(waits))
    assert waits.cancel("no longer wanted")
    assert waits.state == "cancelled"

    writes = cluster.submit("vote", "write")
    with pytest.raises(JobDead, match="TransactionMisused"):
        writes.wait(PATIENCE)

    assert all(replica.cancel_requested_at for replica in waits.replicas())
    cluster.open("vote")
    wait_until(lambda: all(replica.state.is_final for replica in waits.replicas()), PATIENCE)
    assert waits.state == "cancelled"
