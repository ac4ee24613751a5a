"""Workers are suspected, declared failed and found recovered; each change is recorded once, and hooks are called."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perdure import Perdure
from perdure.model.records import Claim
from perdure.model.worker_health import WorkerEvent
from perdure_workers.recovery.incarnation import Incarnation
from perdure_workers.recovery.lease import Lease
from perdure_workers.recovery.process_lock import LifeLock, holder_is_gone
from perdure_workers.supervisor.duties.expire import Expire
from perdure_workers.supervisor.duties.watch import Watch
from support.ledgers import try_claim
from support.waiting import wait_until

pytestmark = pytest.mark.slow

Register = Callable[..., str]

HOLD = """
import sys
from pathlib import Path
from perdure_workers.recovery.process_lock import LifeLock
lock = LifeLock(Path(sys.argv[1]))
lock.take()
print("held", flush=True)
sys.stdin.read()
"""


def judging(app: Perdure) -> Expire:
    """Return a duty that judges at once, as one does that has run for a lease time."""
    duty = Expire(app)
    duty.run_once()
    duty._judge_from = 0.0
    return duty


def changes(app: Perdure, name: str = "w") -> list[tuple[str | None, str]]:
    return [(event.source, event.target) for event in reversed(app.workers.events(name=name))]


def test_silence_is_suspected_then_fatal_and_recorded_once(app: Perdure, register: Register) -> None:
    failures: list[WorkerEvent] = []
    app.on_node_failure(failures.append)
    worker_id = register()
    duty, other = judging(app), judging(app)

    wait_until(lambda: duty.run_once() + other.run_once() > 0)

    assert changes(app) == [(None, "healthy"), ("healthy", "suspect"), ("suspect", "failed")]
    [failure] = failures
    assert failure.worker_id == worker_id
    assert failure.silence is not None
    assert failure.silence >= 1.0
    assert not app.ledger.workers.beat(worker_id)  # the zombie learns that its lease is over


def test_beating_again_is_a_recovery(app: Perdure, register: Register, tmp_path: Path) -> None:
    recoveries: list[WorkerEvent] = []
    app.on_node_recovery(recoveries.append)
    worker = Incarnation.new("w", "normal", 1)
    done: list[str] = []
    lease = Lease(app, worker, LifeLock(tmp_path / "w.lock"), on_lost=lambda: done.append("lost"))
    lease.start()
    app.ledger.workers.change_state(worker.id, "suspect", "test")

    wait_until(lambda: recoveries)
    lease.end("gone", "test")

    assert changes(app, worker.name) == [
        (None, "healthy"),
        ("healthy", "suspect"),
        ("suspect", "healthy"),
        ("healthy", "gone"),
    ]
    assert done == []


def test_new_incarnation_of_a_failed_worker_is_a_recovery(app: Perdure, register: Register) -> None:
    first = register()
    app.ledger.workers.change_state(first, "failed", "test")

    register()

    assert app.workers.events(limit=1)[0].is_recovery


def test_worker_that_was_declared_dead_claims_nothing(app: Perdure, register: Register) -> None:
    worker_id = register()
    app.ledger.workers.change_state(worker_id, "failed", "test")

    assert try_claim(app.ledger, app.task("work").submit().id, worker=worker_id) is None


def test_claim_that_slipped_in_during_the_verdict_is_taken_back(
    app: Perdure, register: Register, claim: Callable[..., Claim]
) -> None:
    worker_id = register()
    slipped_in = claim(worker_id)
    app.ledger.workers.change_state(worker_id, "failed", "test")  # whoever said so has taken back what it saw

    Expire(app).run_once()

    assert app.ledger.jobs.get(slipped_in.job_id).state == "queued"


def test_nobody_is_judged_right_after_an_outage(app: Perdure, register: Register) -> None:
    register()
    duty = Expire(app)
    duty.run_once()
    wait_until(lambda: app.workers.list()[0].heartbeat_age > 1.0)
    duty.done_at = 0.0  # the duty's last look is long ago: the ledger was away

    assert duty.run_once() == 0
    assert [record.state for record in app.workers.list()] == ["healthy"]


def test_hook_that_fails_stops_nobody(app: Perdure, register: Register) -> None:
    @app.on_node_failure
    def broken(_event: WorkerEvent) -> None:
        raise RuntimeError("a bug in the hook")

    worker_id = register()
    duty = judging(app)

    wait_until(lambda: duty.run_once())

    assert not app.ledger.workers.beat(worker_id)


@pytest.fixture
def holder(tmp_path: Path) -> Any:
    path = tmp_path / "some.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield path, process
        process.kill()


def test_lock_tells_the_death_of_its_holder(
    app: Perdure, register: Register, claim: Callable[..., Claim], holder: tuple[Path, subprocess.Popen[bytes]]
) -> None:
    path, process = holder
    worker_id = register(lock_path=str(path))
    job = claim(worker_id)
    watch = Watch(app)
    assert watch.run_once() == 0

    process.kill()
    process.wait()

    assert watch.run_once() == 1
    record = app.ledger.jobs.get(job.job_id)
    assert (record.state, record.crashes) == ("queued", 1)
    assert watch.run_once() == 0


def test_own_lock_is_never_opened_again(tmp_path: Path) -> None:
    lock = LifeLock(tmp_path / "own.lock")
    lock.take()

    assert not holder_is_gone(lock.path)

    looks = (
        "import sys; from pathlib import Path; from perdure_workers.recovery.process_lock import holder_is_gone as gone\n"
    )
    other = subprocess.run([sys.executable, "-c", looks + "sys.exit(gone(Path(sys.argv[1])))", lock.path], check=False)
    assert other.returncode == 0  # another process finds it still held
    lock.release()
    assert not lock.path.exists()


def test_lock_file_that_is_missing_says_nothing(tmp_path: Path) -> None:
    assert not holder_is_gone(tmp_path / "none.lock")
