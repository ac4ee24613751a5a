"""No child is forked while another thread is inside a connection."""

from __future__ import annotations

import importlib
import io
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perdure.system import fork_gate, fork_imports
from perdure.system.fork_gate import ForkGate
from support.forks import in_children


def test_a_fork_waits_for_a_use_that_is_under_way() -> None:
    inside, leave = threading.Event(), threading.Event()
    left: list[bool] = []

    def use() -> None:
        with fork_gate.gate:
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


def test_a_fork_waits_for_a_module_that_another_thread_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a child would wait for it for ever, as soon as it wants that module."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "loaded_slowly.py").write_text(
        "import threading\nthreading.loads.set()\nthreading.may_go_on.wait(30)\nit = 1\n"
    )
    loads, may_go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(threading, "loads", loads, raising=False)
    monkeypatch.setattr(threading, "may_go_on", may_go_on, raising=False)
    waits = fork_imports.are_under_way

    def are_under_way() -> bool:
        may_go_on.set()  # not before the fork waits for it
        return waits()

    monkeypatch.setattr(fork_imports, "are_under_way", are_under_way)
    thread = threading.Thread(target=importlib.import_module, args=("loaded_slowly",))
    thread.start()
    assert loads.wait(30)
    try:
        assert in_children([lambda: int(importlib.import_module("loaded_slowly").it)], within=10) == [1]
    finally:
        may_go_on.set()
        thread.join(30)
        del sys.modules["loaded_slowly"]


def test_a_module_whose_loading_forks_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    body = "from perdure.system import fork_imports\nare_under_way = fork_imports.are_under_way()\n"
    (tmp_path / "loaded_and_asked.py").write_text(body)
    assert not importlib.import_module("loaded_and_asked").are_under_way
    del sys.modules["loaded_and_asked"]


def test_a_use_waits_for_a_fork_that_is_under_way() -> None:
    gate = ForkGate()
    gate.before_fork()
    used = threading.Event()

    def use() -> None:
        with gate:
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

    def fork() -> None:
        gate.before_fork()
        gate.after_fork_in_parent()

    with gate:
        other = threading.Thread(target=fork)
        other.start()
        other.join(30)
        assert not other.is_alive()


def test_what_one_fork_has_waited_for_in_vain_the_next_ones_do_not_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_gate, "LONGEST_WAIT", 0.01)
    gate = ForkGate()
    went_at_once: list[bool] = []
    wait_for = gate._free.wait_for

    def waited(done: Callable[[], bool], longest: float) -> bool:
        went_at_once.append(done())
        return wait_for(done, longest)

    monkeypatch.setattr(gate._free, "wait_for", waited)
    is_inside, may_leave = threading.Event(), threading.Event()

    def stay() -> None:
        with gate:
            is_inside.set()
            may_leave.wait()

    def come_and_go() -> None:
        with gate:
            pass

    thread = threading.Thread(target=stay)
    thread.start()
    is_inside.wait()
    for _ in range(3):
        gate.before_fork()
        assert not gate.was_quiet
        gate.after_fork_in_parent()
        come_and_go()
    may_leave.set()
    thread.join()
    gate.before_fork()
    gate.after_fork_in_parent()
    assert went_at_once == [False, True, True, True]
    assert gate.was_quiet


def test_a_child_starts_with_an_open_gate() -> None:
    if (pid := os.fork()) == 0:
        with fork_gate.gate:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


class SlowFile(io.RawIOBase):
    """Takes its time in this process; what is written to it waits within the lock of its buffer."""

    def __init__(self) -> None:
        self.pid, self.written = os.getpid(), threading.Event()
        self.inside = threading.Event()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if os.getpid() == self.pid:
            self.inside.set()
            self.written.wait(20)
        return len(data)


def test_a_child_may_log_that_was_forked_while_another_thread_wrote_to_the_log() -> None:
    file = SlowFile()
    handler = logging.StreamHandler(io.TextIOWrapper(io.BufferedWriter(file)))
    log = logging.getLogger("tests.fork_gate")
    log.addHandler(handler)
    thread = threading.Thread(target=log.warning, args=("told",))
    thread.start()
    assert file.inside.wait(30)
    threading.Timer(0.2, file.written.set).start()
    in_children([lambda: log.warning("told by the child")], within=20)
    log.warning("and by the parent")
    thread.join(30)
    log.removeHandler(handler)


def test_a_use_within_a_use_does_not_wait_for_the_fork_that_waits_for_it() -> None:
    gate = ForkGate()
    forked, waiting = threading.Event(), threading.Event()

    def fork() -> None:
        waiting.set()
        gate.before_fork()
        forked.set()
        gate.after_fork_in_parent()

    with gate:
        thread = threading.Thread(target=fork)
        thread.start()
        assert waiting.wait(30)
        with gate:
            assert not forked.is_set()
    assert forked.wait(30)
    thread.join(30)


def test_a_child_forked_within_a_use_has_a_gate_that_works() -> None:
    with fork_gate.gate:
        pid = os.fork()
    if pid == 0:  # it has left what its parent entered
        with fork_gate.gate:
            held = len(fork_gate.gate._inside)
        os._exit(0 if (held, len(fork_gate.gate._inside)) == (1, 0) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
