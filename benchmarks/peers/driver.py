"""Submits a peer's jobs in that peer's own environment: ``python driver.py MODULE``, one JSON request a line on stdin.

A peer's module offers ``submit(number, seconds)``, and where the peer can, ``submit_many(numbers, seconds)`` and
``prepare()``. Each answer is one line of JSON on the descriptor that stdout had at the start: nothing that a library
prints gets in between.
"""

import importlib
import json
import os
import random
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import effects

POLL_SECONDS = 0.0005
#: Between two submits of the steady run.
STEADY_SECONDS = 0.05


def main() -> None:
    """Answer requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    peer = importlib.import_module(sys.argv[1])
    handlers: dict[str, Callable[..., Any]] = {
        "prepare": prepare,
        "one": one,
        "many": many,
        "steady": steady,
        "latency": latency,
    }
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(handlers[request.pop("do")](peer, **request)), file=answers)
    os._exit(0)  # whatever threads and connections the library keeps, nothing is left to do


def prepare(peer: ModuleType) -> dict[str, bool]:
    """Make what the peer needs, and tell whether it has a bulk submit."""
    if hasattr(peer, "prepare"):
        peer.prepare()
    return {"bulk": hasattr(peer, "submit_many")}


def one(peer: ModuleType, first: int, count: int, seconds: float) -> float:
    """Submit jobs one by one and return the seconds that it took."""
    began = time.perf_counter()
    for number in range(first, first + count):
        peer.submit(number, seconds)
    return time.perf_counter() - began


def many(peer: ModuleType, first: int, count: int, seconds: float) -> float:
    """Submit jobs in bulk and return the seconds that it took."""
    began = time.perf_counter()
    peer.submit_many(range(first, first + count), seconds)
    return time.perf_counter() - began


def steady(peer: ModuleType, first: int, count: int, rate: float) -> float:
    """Submit jobs in bulk, some each time, so that so many are submitted a second; return the seconds that it took."""
    began, some = time.perf_counter(), max(1, int(rate * STEADY_SECONDS))
    for at in range(first, first + count, some):
        peer.submit_many(range(at, min(at + some, first + count)), 0.0)
        due = (at + some - first) / rate
        time.sleep(max(0.0, due - (time.perf_counter() - began)))
    return time.perf_counter() - began


def latency(peer: ModuleType, first: int, count: int, budget: float, pause: float) -> list[float]:
    """Submit jobs one at a time to an idle worker; return the milliseconds from each call of submit to the job's start.

    Ends early when ``budget`` seconds are over. Between two jobs comes a random part of ``pause`` seconds, so that the next
    one meets an idle system, and at any moment of what its workers do by the clock.
    """
    took: list[float] = []
    over = time.monotonic() + budget
    with open(effects.PATH, "rb") as log:
        log.seek(0, os.SEEK_END)
        for number in range(first, first + count):
            called = time.time()
            peer.submit(number, 0.0)
            took.append((_started(log, number) - called) * 1000)
            if time.monotonic() > over:
                break
            time.sleep(pause * random.uniform(0.3, 1.3))
    return took


def _started(log: Any, number: int) -> float:
    lost_at = time.monotonic() + effects.LOST_AFTER_SECONDS
    while True:
        record = log.read(effects.RECORD_BYTES)
        if len(record) == effects.RECORD_BYTES and int(record[:10]) == number:
            return float(record[11:28])
        if len(record) < effects.RECORD_BYTES:
            log.seek(-len(record), os.SEEK_CUR)  # a record that crosses a page is seen in two parts
            if time.monotonic() > lost_at:
                raise TimeoutError(f"job {number} did not start within {effects.LOST_AFTER_SECONDS:g} s")
            time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    main()
