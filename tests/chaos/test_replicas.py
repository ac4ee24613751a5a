"""A job with replicas runs on different workers, and the majority decides."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perdure import JobDead
from support.cluster import PATIENCE, Cluster

pytestmark = pytest.mark.chaos


@pytest.fixture
def cluster(make_guarded: Callable[..., Cluster], ledger_url: str, redis_url: str, monkeypatch) -> Cluster:  # type: ignore[no-untyped-def]
    made = make_guarded(ledger_url, redis_url)
    started = []
    for name in ("w1", "w2", "w3"):
        monkeypatch.setenv("VOTER", name)
        started.append(made.start("worker", "normal", "-c", "2", "-n", name, name=name))
    for worker in started:
        made.await_ready(worker)
    return made


def test_three_workers_run_it_and_the_majority_decides(cluster: Cluster) -> None:
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
    assert all(f'{{"answer":"{worker}"}}' in str(letters[0].error) for worker in ("w1", "w2", "w3"))
