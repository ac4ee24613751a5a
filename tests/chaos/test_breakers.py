"""Jobs behind a circuit breaker, in real workers: parked while it is open, nothing burned, let go gradually."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perdure import Perdure
from perdure.model.records import JobRecord
from support.cluster import PATIENCE, Cluster
from support.waiting import wait_until

pytestmark = pytest.mark.chaos


@pytest.fixture
def cluster(make_guarded: Callable[..., Cluster], ledger_url: str, redis_url: str) -> Cluster:
    return make_guarded(ledger_url, redis_url)


def records(app: Perdure, jobs: list) -> list[JobRecord]:  # type: ignore[type-arg]
    return [job.refresh().record for job in jobs]


def test_jobs_wait_for_an_open_breaker_and_burn_nothing(cluster: Cluster) -> None:
    (cluster.folder / "down").touch()
    cluster.worker("w1")
    victims = [cluster.submit("pay") for _ in range(2)]
    breaker = cluster.app.breakers["payments"]
    wait_until(lambda: breaker.state != "closed", PATIENCE, message=lambda: cluster.describe(victims[0]))

    parked = [cluster.submit("pay") for _ in range(30)]
    assert "breaker" in [reason.code for reason in cluster.app.jobs.why(parked[0].id)]
    (cluster.folder / "down").unlink()

    for job in parked:
        job.wait(PATIENCE)
    for job, record in zip(parked, records(cluster.app, parked), strict=True):
        # Whoever was the trial call while payments was still away failed once, and that was its own attempt.
        failed = [each for each in job.attempts() if each.outcome == "failed"]
        assert record.attempt == 1 + len(failed), cluster.describe(job)
        assert record.breaker == "payments"
    assert breaker.state == "closed"


def test_parked_jobs_do_not_come_back_as_a_herd(cluster: Cluster) -> None:
    breaker = cluster.app.breakers["payments"]
    breaker.force_open(lasts=None)
    cluster.worker("w1", concurrency=4)
    parked = [cluster.submit("pay") for _ in range(200)]
    assert cluster.submit("quick").wait(PATIENCE) == 1  # it passes by what waits
    assert cluster.effects_of("pay") == []

    breaker.force_open(lasts=0.001)  # a trial call decides from here on
    for job in parked:
        job.wait(PATIENCE)

    starts = sorted(effect.at for effect in cluster.effects_of("pay"))
    assert len(starts) == 200
    # Four children could run them all in a tenth of a second; the slow start lets a growing share of them go.
    assert starts[-1] - starts[0] > 0.25
    assert all(record.attempt == 1 for record in records(cluster.app, parked))


def test_a_job_s_deadline_caps_what_it_calls(cluster: Cluster) -> None:
    cluster.worker("w1")
    of_job, of_context, of_service = cluster.submit("nested").wait(PATIENCE)
    assert 0 < of_service <= of_context <= of_job + 0.5 <= 20.5
