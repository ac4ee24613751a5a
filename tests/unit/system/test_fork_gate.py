"""No child is forked while another thread is inside a connection."""

from __future__ import annotations

import os
import threading

import pytest

from perdure.system import fork_gate
from perdure.system.fork_gate import ForkGate


def test_a_fork_waits_for_a_use_that_is_under_way() -> None:
    inside, leave = threading.Event(), threading.Event()
    left: list[bool] = []

    def use() -> None:
        with fork_gate.gate.use():
            inside.set()
            leave.wait(30)
            left.append(True)

    thread = threading.Thread(target=use)
    thread.start()
    assert inside.wait(30)
    threading.Timer(0.2, leave.set).start()
    if (pid := os.fork()) == 0:
        os._exit(0 if left else 1)
    thread.join(30)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_use_waits_for_a_fork_that_is_under_way() -> None:
    gate = ForkGate()
    gate.before_fork()
    used = threading.Event()

    def use() -> None:
        with gate.use():
            used.set()

    thread = threading.Thread(target=use)
    thread.start()
    assert not used.is_set()
    gate.after_fork_in_parent()
    assert used.wait(30)
    thread.join(30)


def test_a_fork_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_gate, "LONGEST_WAIT", 0.05)
    gate = ForkGate()
    with gate.use():
        other = threading.Thread(target=lambda: (gate.before_fork(), gate.after_fork_in_parent()))
        other.start()
        other.join(30)
        assert not other.is_alive()


def test_a_child_starts_with_an_open_gate() -> None:
    if (pid := os.fork()) == 0:
        with fork_gate.gate.use():
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
