"""Watching a worker's children: the death of one is seen at once, whatever Celery's pool is doing."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

logger = logging.getLogger("perdure.children")

#: Seconds between two looks where the kernel does not tell of a child's end. A look is one system call for each child.
INTERVAL = 0.1
#: The same where it does.
LONGEST = 1.0
#: Seconds that a pool may take from reaping a child to knowing its exit code.
REAPING = 0.1


class Child(Protocol):
    """What the watch needs of a pool's process object. ``exitcode`` is negative for a signal."""

    @property
    def pid(self) -> int:
        """The process id."""

    @property
    def exitcode(self) -> int | None:
        """The exit code, when the pool knows it."""


class ChildExit(Struct, frozen=True):
    """A child that ended; ``how`` says by which signal or exit code, in words."""

    pid: int
    how: str


class Ends:
    """Tells when a process may have ended: at once on Linux (``pidfd_open(2)``), elsewhere after each :data:`INTERVAL`."""

    def __init__(self) -> None:
        self._descriptors: dict[int, int] = {}
        self._epoll = select.epoll() if _kernel_tells() else None

    def add(self, pid: int) -> None:
        """Wait for the end of a process, too; may be called while another thread waits."""
        if self._epoll is not None:
            try:
                self._descriptors[pid] = os.pidfd_open(pid)
            except OSError:
                return  # too many files are open; it is looked at all the same
            self._epoll.register(self._descriptors[pid], select.EPOLLIN)

    def remove(self, pid: int) -> None:
        """Wait for a process no more."""
        descriptor = self._descriptors.pop(pid, None)
        if self._epoll is not None and descriptor is not None:
            self._epoll.unregister(descriptor)  # to close it is not enough: children that were forked since have it as well
            os.close(descriptor)

    def wait(self) -> None:
        """Wait until a process may have ended."""
        if self._epoll is None:
            time.sleep(INTERVAL)
        else:
            self._epoll.poll(LONGEST)


def _kernel_tells() -> bool:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):  # another system, an old kernel, a sandbox
        return False
    return True


class ChildWatch:
    """Looks at a worker's children from a thread of the main process, without reaping them.

    Args:
        on_exit: Called once for each child that ended, in the watch's thread.
    """

    def __init__(self, on_exit: Callable[[ChildExit], None]) -> None:
        self._on_exit = on_exit
        self._known: dict[int, Child] = {}
        self._ends = Ends()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="perdure-children", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; of what ends from now on nobody is told."""
        self._stop.set()

    def add(self, child: Child) -> None:
        """Watch a child from now on; called where it is forked, because it may have died before the next look."""
        self._known[child.pid] = child
        self._ends.add(child.pid)

    def look(self) -> None:
        """Look at each child once, until the watch is stopped: then somebody else ends them."""
        for pid, child in list(self._known.items()):
            ended = exit_of(child)
            if self._stop.is_set():
                return
            if ended is not None:
                del self._known[pid]
                self._ends.remove(pid)
                self._on_exit(ended)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._ends.wait()
            try:
                self.look()
            except Exception:
                logger.exception("looking at the children failed")


def exit_of(child: Child) -> ChildExit | None:
    """Return how a child of this process ended, or None while it runs; the child is left for its pool to reap."""
    pid = child.pid
    try:
        status = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return ChildExit(pid, _in_words(_reaped(child)))
    if status is None:
        return None
    return ChildExit(pid, _in_words(status.si_status if status.si_code == os.CLD_EXITED else -status.si_status))


def _reaped(child: Child) -> int | None:
    """Return the exit code of a child that its pool has reaped, which the pool's own thread writes down a moment later."""
    give_up_at = time.monotonic() + REAPING
    while (exit_code := child.exitcode) is None and time.monotonic() < give_up_at:
        time.sleep(0.001)
    return exit_code


def end_children(children: Sequence[Child]) -> None:
    """Kill children and wait until they have ended."""
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
    while any(exit_of(child) is None for child in children):
        time.sleep(0.005)


def _in_words(exit_code: int | None) -> str:
    if exit_code is None:
        return "ended"
    return f"killed by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"exited with code {exit_code}"
