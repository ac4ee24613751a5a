"""The watch over a worker's children tells of each that ended, once, also of one that its pool has long reaped."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

from perdure_workers.recovery.child_watch import ChildExit, ChildWatch
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
    wait_until(lambda: watch.look() or told)

    assert told == [ChildExit(child.pid, "killed by SIGKILL")]
    assert child.process.wait(30) == -9
