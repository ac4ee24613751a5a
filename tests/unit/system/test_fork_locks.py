"""A forked child finds perdure's locks free, and makes what another thread of its parent was making."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from perdure.system.fork_locks import fork_condition, fork_lock, once
from support.ledgers import at_once


def ends_well(work: Callable[[], object]) -> bool:
    """Run it in a forked child and say whether it ended without an error; a child that hangs is ended."""
    if (pid := os.fork()) == 0:
        worker = threading.Thread(target=lambda: (work(), os._exit(0)), daemon=True)
        worker.start()
        worker.join(20)
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def held_by_another_thread(lock: threading.Lock | threading.Condition) -> Callable[[], None]:
    """Have a thread take a lock; what is returned ends that."""
    taken, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            leave.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(30)

    def end() -> None:
        leave.set()
        thread.join(30)

    return end


@pytest.mark.parametrize("make", [fork_lock, fork_condition])
def test_a_child_finds_a_lock_free_that_another_thread_of_its_parent_holds(make: Callable[[], Any]) -> None:
    lock = make()
    end = held_by_another_thread(lock)
    assert ends_well(lambda: lock.acquire())
    assert not lock.acquire(blocking=False), "in the parent it is held as before"
    end()


class Thing:
    made = 0
    may_go_on = threading.Event()
    began = threading.Event()

    @once
    def part(self) -> object:
        """What is made once."""
        type(self).made += 1
        return object()

    @once
    def slow(self) -> int:
        self.began.set()
        self.may_go_on.wait(0.2)
        return os.getpid()


def test_all_threads_get_the_same_object() -> None:
    for _ in range(50):
        thing, Thing.made = Thing(), 0
        assert len({id(part) for part in at_once([partial(getattr, thing, "part") for _ in range(4)])}) == 1
        assert Thing.made == 1
    assert Thing.part.__doc__ == "What is made once."


def test_one_can_ask_whether_it_is_made_without_making_it() -> None:
    thing = Thing()
    assert not Thing.part.is_made(thing)
    _ = thing.part
    assert Thing.part.is_made(thing)


def test_a_fork_waits_for_what_is_being_made() -> None:
    thing = Thing()
    thread = threading.Thread(target=lambda: thing.slow)
    thread.start()
    assert Thing.began.wait(30)
    assert ends_well(lambda: thing.slow)
    thread.join(30)


def test_what_raises_is_made_anew() -> None:
    class Failing:
        tries = 0

        @once
        def part(self) -> int:
            self.tries += 1
            if self.tries == 1:
                raise ValueError("not yet")
            return self.tries

    failing = Failing()
    with pytest.raises(ValueError, match="not yet"):
        _ = failing.part
    assert failing.part == failing.part == 2
