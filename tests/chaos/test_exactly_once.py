"""Kill -9 at random moments of a job with effects in the ledger's database: each effect is there exactly once.

``TEST_KILLS=200 pytest tests/chaos/test_exactly_once.py`` kills 200 times on each database.
"""

from __future__ import annotations

import os
import random
import signal
import time
from typing import Any

import pytest
from sqlalchemy import text

from support.cluster import PATIENCE, Cluster
from support.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.both_ledgers]

KILLS = int(os.environ.get("TEST_KILLS", "8"))
#: Effects of one job.
EFFECTS = 400
#: Longest time from an attempt's beginning to its end by force, in seconds.
LONGEST_LIFE = 0.25
SEED = 4


@pytest.mark.timeout(60 + 5 * KILLS)
def test_effects_are_there_exactly_once_however_often_the_job_is_killed(
    make_cluster: Any, ledger_url: str, redis_url: str
) -> None:
    cluster: Cluster = make_cluster(ledger_url, redis_url, max_crashes=str(KILLS + 1))
    ledger, rng, killed, jobs = cluster.app.ledger, random.Random(SEED), 0, []
    ledger.transact(lambda c: c.execute(text("CREATE TABLE counted (job_id VARCHAR(36), number INTEGER)")))
    cluster.worker("w1", concurrency=1)
    while killed < KILLS:
        job = cluster.submit("count", EFFECTS)
        jobs.append(job)
        killed += kill_until_it_ends(cluster, job, rng, KILLS - killed)
    for job in jobs:
        job.wait(PATIENCE)
        query = text("SELECT count(*), count(DISTINCT number), max(number) FROM counted WHERE job_id = :job")
        row = ledger.read(lambda c, query=query, job=job: c.execute(query, {"job": job.id}).one())
        assert tuple(row) == (EFFECTS, EFFECTS, EFFECTS - 1), (job, row)
    crashes = sum(job.record.crashes for job in jobs)
    assert crashes >= KILLS // 2  # a kill may find a child that has just ended its job


def kill_until_it_ends(cluster: Cluster, job: Any, rng: random.Random, kills: int) -> int:
    """Kill the child that runs a job, at most so often; return how often."""
    for killed in range(kills):
        seen = killed + 1
        wait_until(lambda seen=seen: job.state.is_final or len(cluster.effects(job)) >= seen, PATIENCE)
        if job.record.state.is_final:
            return killed
        time.sleep(rng.uniform(0, LONGEST_LIFE))
        try:
            os.kill(cluster.effects(job)[-1].pid, signal.SIGKILL)
        except ProcessLookupError:
            return killed
    return kills
