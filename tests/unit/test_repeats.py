"""A worker's log tells of an outage once, and then at intervals."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest

from perdure.errors import LedgerUnavailable
from perdure_workers.repeats import EVERY, Repeats


def record(message: str, *args: Any, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("perdure.supervisor", level, __file__, 1, message, args, None)


def test_the_same_trouble_is_told_of_once_and_then_at_intervals_with_how_often_it_came() -> None:
    moment = [100.0]
    repeats = Repeats(lambda: moment[0])
    told = []
    for second in range(75):
        moment[0] = 100.0 + second
        for duty in ("expire", "bury"):
            one = record("duty %s: %s", duty, LedgerUnavailable(f"refused at {second}"))
            if repeats.filter(one):
                told.append(one.getMessage())
    assert told == [
        "duty expire: refused at 0",
        "duty bury: refused at 0",
        "duty expire: refused at 30 (29 more like this in 30 s)",
        "duty bury: refused at 30 (29 more like this in 30 s)",
        "duty expire: refused at 60 (29 more like this in 30 s)",
        "duty bury: refused at 60 (29 more like this in 30 s)",
    ]


def test_a_new_outage_is_told_of_at_once() -> None:
    moment = [0.0]
    repeats = Repeats(lambda: moment[0])
    assert repeats.filter(record("looking failed: %s", OSError("a")))
    moment[0] = EVERY
    one = record("looking failed: %s", OSError("b"))
    assert repeats.filter(one)
    assert one.getMessage() == "looking failed: b"


@pytest.mark.parametrize(
    "again",
    [
        lambda: record("job %s is ended by force: %s", "j-1", "timeout"),
        lambda: record("duty %s failed: %s", "bury", OSError("x"), level=logging.ERROR),
        lambda: record("100 %"),
    ],
)
def test_what_is_no_outage_is_told_of_each_time(again: Any) -> None:
    repeats = Repeats(lambda: 0.0)
    assert [repeats.filter(again()) for _ in range(3)] == [True] * 3


def test_processes_of_the_platform_log_so() -> None:
    code = """
import logging
import subprocess
import sys
from perdure_workers.logs import configure_logging
configure_logging("INFO")
for number in range(5):
    logging.getLogger("perdure.looker").warning("looking for work failed: %s", OSError(number))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    [line] = done.stderr.splitlines()
    assert line.endswith("perdure.looker: looking for work failed: 0")
