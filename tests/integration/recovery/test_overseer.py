"""The overseer takes back what nobody runs, and kills no child that has gone on to another job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import psutil
import pytest

from perdure import Perdure
from perdure.errors import LeaseLost, LedgerUnavailable
from perdure.model.records import Claim, Settlement
from perdure.model.settlement import Stop
from perdure.model.states import Outcome, Transition
from perdure_workers.recovery import overseer
from perdure_workers.recovery.overseer import PATIENT_SEARCHES, SEARCH_EVERY, SEARCHES, Overseer
from perdure_workers.shared.slots import Slot, Slots
from support.waiting import wait_until

SUCCESS = Settlement(Transition.SUCCEED, Outcome.SUCCEEDED, result="null")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.fixture
def slots() -> Slots:
    return Slots()


def begun(slots: Slots, claim: Claim, limit: float | None = None, index: int = 0) -> Slot:
    """Say that a claim's child runs it."""
    slots.take(index, claim.worker_pid)
    slots.begin(claim.job_id, claim.fence, claim.task, limit)
    slot = slots.of(claim.worker_pid)
    assert slot is not None
    return slot


def searches(watch: Overseer, times: int = SEARCHES) -> None:
    for _ in range(times):
        watch.take_back_unattended()


def test_it_searches_while_children_claim(app: Perdure, register: Any, slots: Slots, statements: list[str]) -> None:
    def searched(watch: Overseer) -> bool:
        statements.clear()
        for _ in range(SEARCH_EVERY):
            watch.look()
        return bool(statements)

    slots.take(0, 4711)
    watch = Overseer(app, register(), lambda: [4711], slots)
    assert not searched(watch)
    slots.hold()
    assert searched(watch)
    assert searched(watch)  # what it holds may be anything by now
    slots.rest()
    assert not searched(watch)
    slots.hold()
    slots.rest()
    assert searched(watch)  # it may have lost what it claimed meanwhile
    assert not searched(watch)


def stopped_by(watch: Overseer) -> bool:
    """Have it look, and return whether it has stopped anything."""
    watch.look()
    return bool(watch.stopped)


def test_a_job_that_no_child_holds_is_taken_back(
    app: Perdure, register: Any, claim: Callable[..., Claim], slots: Slots
) -> None:
    worker_id = register()
    leaked, attended = claim(worker_id, pid=1111), claim(worker_id, pid=2222)
    slots.take(1, 1111)
    begun(slots, attended)
    watch = Overseer(app, worker_id, lambda: [1111, 2222], slots)

    searches(watch, SEARCHES - 1)
    assert app.ledger.jobs.get(leaked.job_id).state == "running"
    searches(watch, 1)

    assert app.ledger.jobs.get(leaked.job_id).state == "queued"
    assert app.ledger.jobs.get(attended.job_id).state == "running"
    with pytest.raises(LeaseLost):
        app.ledger.jobs.settle(leaked, SUCCESS)


def test_a_job_that_a_busy_child_forgot_is_taken_back(
    app: Perdure, register: Any, claim: Callable[..., Claim], slots: Slots
) -> None:
    """A child that always holds something must not keep for ever what it does not run."""
    worker_id = register()
    forgotten, runs = claim(worker_id, pid=1111), claim(worker_id, pid=1111)
    begun(slots, runs)
    watch = Overseer(app, worker_id, lambda: [1111], slots)

    searches(watch, PATIENT_SEARCHES - 1)
    assert app.ledger.jobs.get(forgotten.job_id).state == "running"  # it may be of the slice that the child has just begun
    searches(watch, 1)

    assert app.ledger.jobs.get(forgotten.job_id).state == "queued"
    assert app.ledger.jobs.get(runs.job_id).state == "running"


def test_a_child_that_cannot_settle_since_nobody_can_write_keeps_its_job(
    app: Perdure, register: Any, claim: Callable[..., Claim], slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger whose disk is full is read all the time; when it has room again the child gets to settle before all else."""
    worker_id = register()
    held = claim(worker_id, pid=1111)
    slots.take(0, 1111)
    slots.hold()
    watch = Overseer(app, worker_id, lambda: [1111], slots)

    def full() -> None:
        raise LedgerUnavailable("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(app.ledger, "probe", full)
        for _ in range(2 * PATIENT_SEARCHES):
            with pytest.raises(LedgerUnavailable):
                watch.take_back_unattended()
    searches(watch, PATIENT_SEARCHES - 1)
    assert app.ledger.jobs.get(held.job_id).state == "running"
    searches(watch, 1)
    assert app.ledger.jobs.get(held.job_id).state == "queued"


def test_a_job_whose_child_is_unknown_is_taken_back(
    app: Perdure, register: Any, claim: Callable[..., Claim], slots: Slots
) -> None:
    worker_id = register()
    leaked = claim(worker_id, pid=1111)
    searches(Overseer(app, worker_id, list, slots))
    assert app.ledger.jobs.get(leaked.job_id).state == "queued"


def test_a_child_that_does_not_obey_is_killed(
    app: Perdure, register: Any, claim: Callable[..., Claim], child: subprocess.Popen[bytes], slots: Slots
) -> None:
    worker_id = register()
    slot = begun(slots, claim(worker_id, pid=child.pid))
    watch = Overseer(app, worker_id, lambda: [child.pid], slots)

    watch._stop_by_force(slot, Stop.CANCELLED)

    assert child.wait() == -signal.SIGKILL
    assert watch.stopped == {child.pid: Stop.CANCELLED}


def test_a_child_that_runs_over_its_limit_is_killed(
    app: Perdure,
    register: Any,
    claim: Callable[..., Claim],
    child: subprocess.Popen[bytes],
    slots: Slots,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker_id = register()
    begun(slots, claim(worker_id, pid=child.pid), limit=0.01)
    watch = Overseer(app, worker_id, lambda: [child.pid], slots)
    watch.look()
    assert watch.stopped == {}  # it has a grace to end by itself
    monkeypatch.setattr(overseer, "HARD_LIMIT_GRACE", 0.0)

    wait_until(lambda: stopped_by(watch))

    assert child.wait() == -signal.SIGKILL
    assert watch.stopped == {child.pid: Stop.TIMEOUT}


def test_a_job_that_was_cancelled_and_does_not_stop_is_killed(
    app: Perdure,
    register: Any,
    claim: Callable[..., Claim],
    child: subprocess.Popen[bytes],
    slots: Slots,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app, "settings", msgspec.structs.replace(app.settings, cancel_grace=0.01))
    worker_id = register()
    job = claim(worker_id, pid=child.pid)
    begun(slots, job)
    watch = Overseer(app, worker_id, lambda: [child.pid], slots)
    app.ledger.jobs.cancel(job.job_id, "no more")

    wait_until(lambda: stopped_by(watch))

    assert child.wait() == -signal.SIGKILL
    assert watch.stopped == {child.pid: Stop.CANCELLED}


@pytest.mark.parametrize("goes_on", ["to another job", "to a newer claim", "to nothing", "to its end"])
def test_a_child_that_went_on_is_spared(
    app: Perdure, register: Any, claim: Callable[..., Claim], child: subprocess.Popen[bytes], slots: Slots, goes_on: str
) -> None:
    worker_id = register()
    job = claim(worker_id, pid=child.pid)
    seen = begun(slots, job)
    if goes_on == "to another job":
        slots.begin("another", job.fence, "work", None)
    elif goes_on == "to a newer claim":
        slots.begin(job.job_id, job.fence + 1, "work", None)
    elif goes_on == "to nothing":
        slots.hold()
    else:
        slots.free(child.pid)
    watch = Overseer(app, worker_id, lambda: [child.pid], slots)

    watch._stop_by_force(seen, Stop.CANCELLED)

    assert watch.stopped == {}
    os.kill(child.pid, 0)
    assert psutil.Process(child.pid).status() != psutil.STATUS_STOPPED
