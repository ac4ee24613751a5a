"""A pool child dies: its job is queued again, with the reason in its attempt; a poison pill is given up."""

from __future__ import annotations

import pytest

from perdure import JobDead
from support.cluster import PATIENCE, Cluster

pytestmark = pytest.mark.chaos


WAYS = {"kill": "SIGKILL", "segfault": "SIGSEGV", "exit": "code 3"}


def test_job_of_a_dead_child_runs_again(cluster: Cluster) -> None:
    cluster.worker("w1")

    jobs = {how: cluster.submit("die", how, 1) for how in WAYS}

    for how, job in jobs.items():
        assert job.wait(PATIENCE) == 2
        assert cluster.outcomes(job) == ["crashed", "succeeded"]
        assert WAYS[how] in str(job.attempts()[0].error)
        assert job.record.crashes == 1


def test_poison_pill_is_given_up_and_others_are_unharmed(cluster: Cluster) -> None:
    cluster.worker("w1")
    pill = cluster.submit("die", "kill", 99)
    others = [cluster.submit("quick") for _ in range(20)]

    with pytest.raises(JobDead) as dead:
        pill.wait(PATIENCE)

    detail = cluster.app.dead_letters.show(str(dead.value.dead_letter_id))
    assert detail.letter.reason == "crashed"
    # From the second run on its lines are written at once.
    assert [line.text for line in detail.log][-2:] == ["about to die by kill"] * 2
    assert cluster.outcomes(pill) == ["crashed"] * 3
    assert [other.wait(PATIENCE) for other in others] == [1] * 20
