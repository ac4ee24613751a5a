"""Wake-ups between real processes: none is lost, none is taken twice, and only as many wait as can be answered."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.process import BaseProcess

from perdure_workers.shared.wakeups import Wakeups

FORK = multiprocessing.get_context("fork")
DEADLINE = 20.0


def started(work: Callable[[], object]) -> BaseProcess:
    process = FORK.Process(target=work, daemon=True)
    process.start()
    return process


def test_nobody_is_woken_until_somebody_posts() -> None:
    wakeups = Wakeups(2)
    assert not wakeups.wait(0.0)
    assert wakeups.post()
    assert wakeups.wait(0.0)
    assert not wakeups.wait(0.0)


def test_as_many_wait_as_there_are_children_and_whoever_is_woken_takes_all() -> None:
    wakeups = Wakeups(3)
    assert [wakeups.post() for _ in range(5)] == [True, True, True, False, False]
    assert wakeups.wait(0.0)
    assert not wakeups.wait(0.0)
    while wakeups.post():
        pass
    assert not wakeups.post()


def test_a_post_wakes_one_sleeping_child() -> None:
    wakeups, woken = Wakeups(3), FORK.SimpleQueue()

    def child() -> None:
        while wakeups.wait(DEADLINE):
            woken.put(os.getpid())

    children = [started(child) for _ in range(3)]
    for _ in range(20):
        wakeups.post()
        assert woken.get() in {process.pid for process in children}
    assert woken.empty()  # twenty posts, twenty wakings
    for process in children:
        process.kill()
        process.join()


def test_children_that_wake_one_another_all_wake() -> None:
    """As when a worker drains: one post, and each that wakes posts for the next."""
    wakeups, woken = Wakeups(8), FORK.SimpleQueue()

    def child() -> None:
        assert wakeups.wait(DEADLINE)
        woken.put(os.getpid())
        wakeups.post()

    children = [started(child) for _ in range(8)]
    wakeups.post()
    assert {woken.get() for _ in children} == {process.pid for process in children}
    for process in children:
        process.join(DEADLINE)
        assert process.exitcode == 0


def test_a_child_that_is_killed_while_it_sleeps_takes_nothing_with_it() -> None:
    wakeups, woken = Wakeups(2), FORK.SimpleQueue()
    told, tell = FORK.Pipe(duplex=False)

    def child() -> None:
        tell.send_bytes(b"ready")
        if wakeups.wait(DEADLINE):
            woken.put(os.getpid())

    first = started(child)
    told.recv_bytes()
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    wakeups.post()
    second = started(child)
    assert woken.get() == second.pid
    second.join(DEADLINE)
