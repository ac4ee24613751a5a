"""Dead letters of a breaker are replayed by themselves when the service behind it is back, in real workers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.cluster import PATIENCE, Cluster
from support.waiting import wait_until

pytestmark = pytest.mark.chaos


@pytest.fixture
def cluster(make_guarded: Callable[..., Cluster], ledger_url: str, redis_url: str) -> Cluster:
    return make_guarded(ledger_url, redis_url)


def test_letters_go_when_the_breaker_has_closed(cluster: Cluster) -> None:
    app = cluster.app
    (cluster.folder / "down").touch()
    cluster.worker("w1")
    cluster.worker("b1", "background")
    jobs = [cluster.submit("refund", number) for number in range(20)]
    # Two failures open the breaker; then the trial calls fail, one each second.
    wait_until(lambda: app.dead_letters.count(breaker="payments") >= 3, PATIENCE)
    wait_until(lambda: app.breakers["payments"].state != "closed", PATIENCE)
    assert app.dead_letters.count(status="replayed") == 0

    (cluster.folder / "down").unlink()

    wait_until(lambda: app.dead_letters.count(status="open") == 0, 2 * PATIENCE)
    letters = app.dead_letters.list(limit=100)
    replays = [app.jobs.get(letter.replayed_as or "") for letter in letters]
    assert sorted(job.wait(PATIENCE) for job in replays) == sorted(letter.args[0] for letter in letters)
    died = {letter.job_id for letter in letters}
    assert all(job.wait(PATIENCE) == number for number, job in enumerate(jobs) if job.id not in died)
    assert {letter.replayed_by for letter in letters} == {"auto-replay"}
