"""Whether processes have ended is told by what they do, and not by whether somebody has reaped them."""

from __future__ import annotations

import subprocess
import sys

import psutil

from perdure_workers.up.identity import await_end
from support.waiting import wait_until


def test_a_process_that_nobody_reaps_has_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    process = psutil.Process(child.pid)
    wait_until(lambda: process.status() == psutil.STATUS_ZOMBIE, 30)

    assert await_end([process], timeout=0) == []

    child.wait(30)
    assert await_end([process], timeout=0) == []


def test_a_process_that_runs_is_told_of() -> None:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as child:
        process = psutil.Process(child.pid)
        assert await_end([process], timeout=0.05) == [process]
