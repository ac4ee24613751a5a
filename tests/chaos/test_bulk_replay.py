"""A bulk replay is killed half-way: it goes on, and no letter is replayed twice."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from support.cluster import PATIENCE, Cluster
from support.ledgers import dead
from support.thorough import part_of
from support.waiting import wait_until

pytestmark = pytest.mark.chaos

MakeCluster = Callable[..., Cluster]
#: Dead letters to replay; more with TEST_LETTERS=5000.
LETTERS = int(os.environ.get("TEST_LETTERS", part_of(1_000)))
KILLS = 2


def test_killed_half_way(make_cluster: MakeCluster, ledger_url: str, redis_url: str) -> None:
    cluster = make_cluster(ledger_url, redis_url, heartbeat_interval="0.3")
    app = cluster.app
    letters = {dead(app.ledger, task="quick")[1] for _ in range(LETTERS)}
    worker = cluster.worker("replayer-0", "background", 1)
    job = app.dead_letters.replay_many(rate=LETTERS / 3, by="ann")

    for kill in range(1, KILLS + 1):
        part = LETTERS * kill // (KILLS + 1)
        wait_until(lambda part=part: app.dead_letters.count(status="replayed") >= part, PATIENCE * 2)
        worker.kill()
        worker = cluster.worker(f"replayer-{kill}", "background", 1)

    report = job.wait(PATIENCE * 4)
    assert (report.total, report.replayed, report.skipped) == (LETTERS, LETTERS, {}), cluster.describe(job)
    assert cluster.outcomes(job) == ["crashed"] * KILLS + ["succeeded"]
    replays = [letter.replayed_as for letter in app.dead_letters.list(limit=LETTERS + 1)]
    assert len(set(replays)) == LETTERS == len(letters)
    assert app.jobs.count() == {"dead": LETTERS, "queued": LETTERS, "succeeded": 1}
    entries = [entry for entry in app.dead_letters.audit(limit=3 * LETTERS) if entry.action == "replay"]
    assert {entry.letter_id for entry in entries} == letters
    assert len(entries) == LETTERS
    assert app.dead_letters.groups()[0].replayed == LETTERS
