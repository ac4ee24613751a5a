"""Slots: what a child writes its main process reads, whatever became of the child."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from uuid import UUID

import pytest

from perdure_workers.shared.slots import Slots

FORK = multiprocessing.get_context("fork")
JOB = str(UUID(int=7))
OTHER = str(UUID(int=8))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_slot_says_what_its_child_does(clock: list[float]) -> None:
    slots = Slots()
    assert slots.of(11) is None
    slots.take(0, 11)
    slot = slots.of(11)
    assert slot is not None
    assert (slot.pid, slot.holds, slot.job_id, slot.elapsed, slot.limit) == (11, False, "", 0.0, None)
    slots.hold()
    assert (slots.all([11])[0].holds, slots.all([11])[0].job_id) == (True, "")
    slots.begin(JOB, 3, "tests.add", 30.0)
    clock[0] += 2.5
    slot = slots.of(11)
    assert slot is not None
    assert (slot.holds, slot.job_id, slot.task, slot.fence) == (True, JOB, "tests.add", 3)
    assert (slot.elapsed, slot.limit) == (2.5, 30.0)
    slots.rest()
    slot = slots.of(11)
    assert slot is not None
    assert (slot.holds, slot.job_id, slot.elapsed, slot.limit) == (False, "", 0.0, None)


@pytest.mark.parametrize("task", ["t" * 255, "\u00e9" * 255, "\U0001f980" * 100])
def test_a_long_name_is_cut_and_spoils_nothing(task: str) -> None:
    slots = Slots()
    slots.take(0, 11)
    slots.begin(JOB, 1, task, None)
    slot = slots.of(11)
    assert slot is not None
    assert slot.job_id == JOB
    assert task.startswith(slot.task.rstrip("\ufffd"))
    assert len(slot.task) > 40


def test_a_foreign_process_has_no_slot() -> None:
    slots = Slots()
    slots.take(0, 11)
    assert [slot.pid for slot in slots.all([10, 11, 12])] == [11]
    slots.free(12)
    assert slots.of(11) is not None


@pytest.mark.parametrize("pid", [0, -1])
def test_what_is_no_process_id_has_no_slot(pid: int) -> None:
    assert Slots().of(pid) is None


def test_the_slot_of_a_dead_child_stays_until_it_was_read() -> None:
    slots = Slots()
    slots.take(5, 11)
    slots.begin(JOB, 1, "t", None)
    slots.take(5, 12)  # the child that took its place
    slots.begin(OTHER, 1, "t", None)
    assert [slot.job_id for slot in slots.all([11, 12])] == [JOB, OTHER]
    slots.free(11)
    assert slots.of(11) is None
    slots.take(5, 13)
    slots.begin(JOB, 2, "t", None)
    assert [(slot.pid, slot.fence) for slot in slots.all([12, 13])] == [(12, 1), (13, 2)]


def test_many_lives_never_touch_another_child_s_slot() -> None:
    slots = Slots()
    slots.take(1, 1)
    slots.begin(OTHER, 9, "t", None)
    for pid in range(100, 150):
        slots.take(0, pid)
        slots.begin(JOB, pid, "t", None)
        found = slots.of(pid)
        assert found is not None
        assert found.fence == pid
        if pid % 3:
            slots.free(pid)
    other = slots.of(1)
    assert other is not None
    assert (other.job_id, other.fence) == (OTHER, 9)


def test_a_process_id_that_is_used_again_is_the_new_child_s() -> None:
    slots = Slots()
    slots.take(3, 11)  # dies, and nobody has read its slot yet when the system gives its id to another child
    slots.begin(JOB, 1, "t", None)
    slots.take(4, 11)
    slots.begin(OTHER, 2, "t", None)
    found = slots.of(11)
    assert found is not None
    assert (found.job_id, found.fence) == (OTHER, 2)
    slots.free(11)
    assert slots.of(11) is None


def test_children_write_and_the_main_process_reads() -> None:
    slots, ready = Slots(), FORK.SimpleQueue()

    def child(index: int) -> None:
        slots.take(index, os.getpid())
        slots.begin(str(UUID(int=index)), index, f"task-{index}", None)
        ready.put(1)
        signal.pause()

    children = [FORK.Process(target=child, args=(index,)) for index in range(4)]
    for process in children:
        process.start()
    for _ in children:
        ready.get()
    for process in children:
        process.kill()
        process.join()
    pids = [process.pid for process in children if process.pid]
    assert [slot.job_id for slot in slots.all(pids)] == [str(UUID(int=index)) for index in range(4)]


def test_a_child_that_is_killed_while_it_writes_names_no_job_that_it_does_not_run() -> None:
    """Whatever is read of a slot is what was written at one moment, or nothing."""
    slots, ready = Slots(), FORK.SimpleQueue()
    jobs = {str(UUID(int=n)): n for n in range(1, 50)}

    def child() -> None:
        slots.take(0, os.getpid())
        ready.put(1)
        while True:
            for job_id, fence in jobs.items():
                slots.begin(job_id, fence, f"task-{fence}", None)

    process = FORK.Process(target=child)
    process.start()
    ready.get()
    assert process.pid is not None
    for _ in range(2000):
        os.kill(process.pid, signal.SIGSTOP)
        slot = slots.of(process.pid)
        if slot is not None and slot.job_id in jobs:
            assert slot.fence == jobs[slot.job_id]
        os.kill(process.pid, signal.SIGCONT)
    process.kill()
    process.join()
