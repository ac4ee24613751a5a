"""What a job says: which lines are kept, which go to the process' log, and that nothing that it says fails it."""

from __future__ import annotations

import logging

import pytest

from perdure.model.job_log import Chunk, JobLog, LogBounds, Said
from perdure.running.job_logger import LONGEST_LINE, NAME, JobLogger


def log(**bounds: int) -> JobLog:
    return JobLog("j", "shop.add", 1, 1, LogBounds(**bounds))


def taken(log: JobLog) -> Chunk:
    chunk = log.take()
    assert chunk is not None
    return chunk


def logger(log: JobLog, level: int = logging.INFO) -> JobLogger:
    return JobLogger(log, lambda: 1.5, lambda: None, level)


@pytest.fixture
def shown(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, NAME)
    return caplog


def test_the_newest_lines_are_kept_and_keep_their_numbers() -> None:
    mine = log(lines=3)
    for number in range(1, 6):
        mine.add(Said(0.0, "INFO", str(number)))
    chunk = taken(mine)
    assert (chunk.first, [line.text for line in chunk.lines]) == (3, ["3", "4", "5"])
    assert mine.take() is None
    mine.add(Said(0.0, "INFO", "6"))
    assert taken(mine).first == 6


def test_bytes_are_bounded_and_one_long_line_is_kept_all_the_same() -> None:
    mine = log(bytes=1000)
    for _ in range(10):
        mine.add(Said(0.0, "INFO", "é" * 150))
    assert len(taken(mine).lines) == 3  # 332 bytes each
    mine.add(Said(0.0, "INFO", "x" * 5000))
    assert len(taken(mine).lines) == 1


def test_a_line_is_kept_by_its_own_level_and_shown_by_that_of_the_process(shown: pytest.LogCaptureFixture) -> None:
    mine = log()
    said = logger(mine)
    said.debug("neither")
    said.info("charged %s", 4)
    said.warning("slow")
    assert [(line.at, line.level, line.text) for line in taken(mine).lines] == [
        (1.5, "INFO", "charged 4"),
        (1.5, "WARNING", "slow"),
    ]
    assert [record.getMessage() for record in shown.records] == ["slow"]
    assert said.isEnabledFor(logging.INFO)
    assert not said.isEnabledFor(logging.DEBUG)


def test_a_process_that_shows_more_than_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, NAME)
    mine = log()
    logger(mine, logging.CRITICAL + 1).debug("only shown")
    assert mine.take() is None
    assert [record.getMessage() for record in caplog.records] == ["only shown"]


def test_tracebacks_are_part_of_the_line() -> None:
    mine = log()
    try:
        raise ValueError("no such order")
    except ValueError:
        logger(mine).exception("failed")
    [line] = taken(mine).lines
    assert line.text.startswith("failed\nTraceback")
    assert line.text.endswith("ValueError: no such order")


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__


@pytest.mark.parametrize("arguments", [("%d", "x"), ("%s %s", 1), ("%s", Unprintable()), (Unprintable(),)])
def test_what_cannot_be_formatted_fails_nothing(arguments: tuple[object, ...]) -> None:
    mine = log()
    said = logger(mine)
    logging.raiseExceptions, before = False, logging.raiseExceptions
    try:
        said.info(*arguments)
    finally:
        logging.raiseExceptions = before
    assert "does not fit" in taken(mine).lines[0].text


def test_a_long_line_is_cut() -> None:
    mine = log(bytes=10**6)
    logger(mine).info("x" * (LONGEST_LINE + 7))
    assert taken(mine).lines[0].text.endswith("... 7 characters cut")
