"""The watch over a worker's children tells of each that ended, once, also of one that its pool has long reaped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass

import pytest

from perdure_workers.recovery.child_watch import ChildExit, ChildWatch, Ends
from support.waiting import wait_until


@dataclass
class PoolChild:
    """A process as a pool knows it."""

    process: subprocess.Popen[bytes]
    exitcode: int | None = None

    @property
    def pid(self) -> int:
        return self.process.pid


def started(code: str) -> PoolChild:
    return PoolChild(subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE))


def test_a_child_that_ended_and_was_reaped_before_anybody_looked() -> None:
    told: list[ChildExit] = []
    watch, child = ChildWatch(told.append), started("raise SystemExit(3)")
    watch.add(child)
    child.exitcode = child.process.wait(30)

    watch.look()
    watch.look()

    assert told == [ChildExit(child.pid, "exited with code 3")]


def test_a_child_that_is_killed_is_told_of_and_left_to_its_pool() -> None:
    told: list[ChildExit] = []
    watch, child = ChildWatch(told.append), started("import sys; sys.stdin.read()")
    watch.add(child)
    watch.look()
    assert told == []

    child.process.kill()

    def is_told() -> bool:
        watch.look()
        return bool(told)

    wait_until(is_told)

    assert told == [ChildExit(child.pid, "killed by SIGKILL")]
    assert child.process.wait(30) == -9


def test_who_stops_the_watch_in_the_middle_of_a_look_ends_the_rest_untold() -> None:
    told: list[ChildExit] = []
    watch, first, second = ChildWatch(told.append), started("pass"), started("import sys; sys.stdin.read()")

    class Reaped(PoolChild):
        @property
        def exitcode(self) -> int | None:  # type: ignore[override]
            watch.stop()
            second.process.kill()
            second.process.wait(30)
            return 0

        @exitcode.setter
        def exitcode(self, code: int | None) -> None: ...

    first.process.wait(30)
    watch.add(Reaped(first.process))
    watch.add(second)
    watch.look()

    assert told == []


@pytest.mark.parametrize("kernel_tells", [True, False])
def test_the_watch_runs_in_a_thread_of_its_own(kernel_tells: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not kernel_tells:
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    told: list[ChildExit] = []
    watch = ChildWatch(told.append)
    watch.start()
    first, second = started("import sys; sys.stdin.read()"), started("import sys; sys.stdin.read()")
    watch.add(first)
    watch.add(second)

    second.process.kill()
    wait_until(lambda: [ended.pid for ended in told] == [second.pid])
    first.process.kill()
    wait_until(lambda: [ended.pid for ended in told] == [second.pid, first.pid])
    assert {child.process.wait(30) for child in (first, second)} == {-9}
    watch.stop()


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="the kernel tells nothing")
def test_an_end_is_told_once_though_a_child_has_the_descriptor_as_well() -> None:
    ends, child = Ends(), started("import sys; sys.stdin.read()")
    ends.add(child.pid)
    heir = os.fork()
    if heir == 0:
        signal.pause()
        os._exit(0)
    child.process.kill()
    ends.wait()
    ends.remove(child.pid)

    assert ends._epoll is not None
    assert ends._epoll.poll(0) == []
    os.kill(heir, signal.SIGKILL)
    os.waitpid(heir, 0)
    child.process.wait(30)
