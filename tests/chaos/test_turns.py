"""Whose turn it is, in real workers that claim slices: urgent jobs first, and nobody's turn is passed over."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby, pairwise

import pytest

from support.cluster import PATIENCE, Cluster
from support.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

#: Jobs that a child may have in its hands when an urgent one comes: its slice, and the one that it is about to claim.
IN_HAND = 2 * 10


def test_urgent_jobs_go_before_a_backlog(cluster: Cluster) -> None:
    backlog = cluster.app.task("nap").options(priority=9).submit_many([(0.01,)] * 400)
    cluster.worker("w1", concurrency=1)
    cluster.await_effect(backlog[20], "end")

    urgent = cluster.app.task("nap").options(priority=0).submit_many([(0.01,)] * 30)
    assert [job.wait(PATIENCE) for job in urgent] == [1] * 30

    submitted = min(at for job in urgent if (at := job.record.created_at))
    last = max(at for job in urgent if (at := job.record.started_at))
    between = [job for job in backlog if (at := job.refresh().record.started_at) and submitted < at < last]
    assert len(between) <= IN_HAND
    assert [job.wait(PATIENCE) for job in backlog] == [1] * 400
    assert all(cluster.outcomes(job) == ["succeeded"] for job in [*backlog, *urgent])


def test_jobs_of_one_priority_begin_in_the_order_of_their_submit(cluster: Cluster) -> None:
    jobs = [job for _ in range(6) for job in cluster.app.task("quick").submit_many([()] * 50)]
    cluster.worker("w1", concurrency=1)

    assert [job.wait(PATIENCE) for job in jobs] == [1] * 300

    begun = [cluster.effects(job)[0].at for job in jobs]
    # Those of one statement have one time; those of the next ones come after them.
    pages = [begun[first : first + 50] for first in range(0, 300, 50)]
    assert all(max(one) < min(next_one) for one, next_one in pairwise(pages))


def test_keys_take_turns_while_plain_jobs_go_on(
    make_guarded: Callable[..., Cluster], ledger_url: str, redis_url: str
) -> None:
    cluster = make_guarded(ledger_url, redis_url)
    flood = [cluster.submit("tenant", "big", bulkhead="normal") for _ in range(60)]
    small = [cluster.submit("tenant", "small", bulkhead="normal") for _ in range(5)]
    plain = [cluster.submit("quick") for _ in range(200)]
    cluster.worker("w1", concurrency=3)

    for job in [*plain, *small, *flood]:
        job.wait(PATIENCE)

    order = [effect.what.split(":")[1] for effect in cluster.effects_of("tenant") if effect.what.startswith("start")]
    until = len(order) - order[::-1].index("small")
    runs = [len(list(run)) for key, run in groupby(order[:until]) if key == "big"]
    assert max(runs) <= 5, order
    assert all(job.record.attempt == 1 for job in [*plain, *small, *flood])


def test_a_thousand_jobs_behind_a_breaker_go_when_it_closes(
    make_guarded: Callable[..., Cluster], ledger_url: str, redis_url: str
) -> None:
    cluster = make_guarded(ledger_url, redis_url)
    breaker = cluster.app.breakers["payments"]
    breaker.force_open(lasts=None)
    cluster.worker("w1", concurrency=4)
    parked = cluster.app.task("pay").submit_many([()] * 1_000)
    assert cluster.submit("quick").wait(PATIENCE) == 1
    assert cluster.effects_of("pay") == []

    breaker.force_open(lasts=0.001)  # a trial call decides from here on
    wait_until(lambda: len(cluster.effects_of("pay")) == 1_000, 3 * PATIENCE, 0.1, lambda: str(cluster.app.jobs.count()))

    assert [job.wait(PATIENCE) for job in parked] == [1] * 1_000
    assert breaker.state == "closed"
    records = [job.refresh().record for job in parked]
    assert all((record.attempt, record.crashes, record.snoozes) == (1, 0, 0) for record in records)
