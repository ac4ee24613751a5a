"""Run things in forked children, in a way that tells what went wrong in there."""

from __future__ import annotations

import faulthandler
import multiprocessing
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


def in_children(works: Sequence[Callable[[], T]], within: float = 60) -> list[T]:
    """Run each in a child of its own, all at once, and return what they return.

    Raises:
        AssertionError: One raised or did not end in time; the message has its traceback, or says that it hangs. Where it
            hangs is written to stderr.
    """
    context = multiprocessing.get_context("fork")
    started = []
    for work in works:
        receiving, sending = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(work, sending, within))
        process.start()
        sending.close()
        started.append((process, receiving))
    return [_result(process, receiving, within + 10) for process, receiving in started]


def _run(work: Callable[[], Any], sending: Any, within: float) -> None:
    assert sys.__stderr__ is not None
    faulthandler.dump_traceback_later(within, exit=True, file=sys.__stderr__)
    try:
        sending.send((True, work()))
    except BaseException:
        sending.send((False, traceback.format_exc()))


def _result(process: Any, receiving: Any, within: float) -> Any:
    try:
        if not receiving.poll(within):
            raise AssertionError(f"child {process.pid} hangs")
        worked, value = receiving.recv()
    except EOFError:
        raise AssertionError(f"child {process.pid} ended without a result") from None
    finally:
        process.join(5)
        process.kill()
    assert worked, value
    return value
