"""The overseer takes back what nobody runs, and kills no child that has gone on to another job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest

from perdure import Perdure
from perdure.decision import Stop
from perdure.errors import LeaseLost
from perdure.ledger.records import Claim, Settlement
from perdure.states import Outcome, Transition
from perdure_workers.overseer import LOOKS, Overseer

SUCCESS = Settlement(Transition.SUCCEED, Outcome.SUCCEEDED, result="null")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def overseer(app: Perdure, worker_id: str, pids: list[int], runs: Callable[[int, str], bool]) -> Overseer:
    return Overseer(app, worker_id, lambda: pids, runs)


def test_job_that_no_child_runs_is_taken_back(app: Perdure, register, claim: Callable[..., Claim]) -> None:
    worker_id = register()
    leaked, attended = claim(worker_id, pid=1111), claim(worker_id, pid=2222)
    watch = overseer(app, worker_id, [1111, 2222], lambda _pid, job_id: job_id == attended.job_id)

    for _ in range(LOOKS - 1):
        watch.look()
    assert app.ledger.job(leaked.job_id).state == "running"
    watch.look()

    assert app.ledger.job(leaked.job_id).state == "queued"
    assert app.ledger.job(attended.job_id).state == "running"
    with pytest.raises(LeaseLost):
        app.ledger.settle(leaked, SUCCESS)


def test_child_that_does_not_obey_is_killed(
    app: Perdure, register, claim: Callable[..., Claim], child: subprocess.Popen[bytes]
) -> None:
    worker_id = register()
    job = claim(worker_id, pid=child.pid)
    watch = overseer(app, worker_id, [child.pid], lambda _pid, _job: True)

    watch._stop_by_force(job, Stop.CANCELLED)

    assert child.wait() == -signal.SIGKILL
    assert watch.stopped == {child.pid: Stop.CANCELLED}


def test_child_that_went_on_to_another_job_is_spared(
    app: Perdure, register, claim: Callable[..., Claim], child: subprocess.Popen[bytes]
) -> None:
    worker_id = register()
    job = claim(worker_id, pid=child.pid)
    app.ledger.settle(job, SUCCESS)
    watch = overseer(app, worker_id, [child.pid], lambda _pid, _job: True)

    watch._stop_by_force(job, Stop.CANCELLED)

    assert watch.stopped == {}
    os.kill(child.pid, 0)
    assert psutil.Process(child.pid).status() != psutil.STATUS_STOPPED
