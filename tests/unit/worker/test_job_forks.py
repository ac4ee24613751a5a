"""A process that a job forked ends when it is told to, at whatever moment."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

from billiard.common import reset_signals

from perdure_workers.worker.job_forks import let_forks_end
from support.forks import in_children


def sleep() -> None:
    time.sleep(600)


def ended_in_its_hooks() -> int | None:
    """Be a pool's child, fork, and end the fork while its hooks after the fork run."""
    reset_signals()
    let_forks_end()
    (told, tell), (ready, say_ready) = os.pipe(), os.pipe()

    def in_hook() -> None:
        os.write(say_ready, b"x")
        os.read(told, 1)

    os.register_at_fork(after_in_child=in_hook)
    process = multiprocessing.get_context("fork").Process(target=sleep, daemon=True)
    process.start()
    os.read(ready, 1)
    process.terminate()
    os.write(tell, b"x")
    process.join(20)
    exit_code = process.exitcode
    process.kill()
    return exit_code


def handled_by_the_job() -> list[bool]:
    """Be a pool's child whose job handles a signal itself, and say what its fork and it have."""
    reset_signals()
    let_forks_end()
    signal.signal(signal.SIGHUP, print)
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sending.send(signal.getsignal(signal.SIGHUP) is print))
    process.start()
    in_fork = receiving.recv()
    process.join(20)
    return [in_fork, signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()]


def test_a_fork_ends_while_its_hooks_run() -> None:
    assert in_children([ended_in_its_hooks]) == [-signal.SIGTERM]


def test_what_a_job_handles_itself_stays_and_no_signal_is_held_back() -> None:
    assert in_children([handled_by_the_job]) == [[True, True]]
