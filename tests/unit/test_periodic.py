"""Which tick of a schedule is due."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from perdure import Perdure
from perdure.errors import DuplicateTask, InvalidJobDefinition
from perdure.periodic import Periodic


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def cron(expression: str) -> Periodic:
    return Periodic("t", expression, None)


@pytest.mark.parametrize(
    ("expression", "last", "now", "tick"),
    [
        ("*/5 * * * *", "2026-01-01 10:05", "2026-01-01 10:09:59", None),
        ("*/5 * * * *", "2026-01-01 10:05", "2026-01-01 10:10", "2026-01-01 10:10"),
        ("*/5 * * * *", "2026-01-01 10:05", "2026-01-01 10:33", "2026-01-01 10:30"),
        ("*/5 * * * *", "2025-01-01 10:05", "2026-01-01 10:33", "2026-01-01 10:30"),
        ("0 3 * * *", "2026-02-27 03:00", "2026-03-01 02:59", "2026-02-28 03:00"),
        ("0 0 1 1 *", "2026-01-01 00:00", "2026-12-31 23:59", None),
        ("30 8 * * 1", "2026-01-05 08:30", "2026-01-12 08:31", "2026-01-12 08:30"),
    ],
)
def test_newest_due_tick(expression: str, last: str, now: str, tick: str | None) -> None:
    assert cron(expression).due(at(last), at(now)) == (None if tick is None else at(tick))


def test_rare_tick_that_was_missed_long_ago_is_found() -> None:
    assert cron("0 0 1 1 *").due(at("2024-06-01 00:00"), at("2026-06-01 00:00")) == at("2026-01-01 00:00")


def test_every_is_aligned_to_the_epoch_and_collapses_missed_ticks() -> None:
    every = Periodic("t", None, 30)

    assert every.due(60.0, 89.9) is None
    assert every.due(60.0, 90.0) == 90.0
    assert every.due(60.0, 1000.0) == 990.0
    assert every.due(100.0, 60.0) is None  # a clock that steps back fires nothing


def test_skip_passes_late_ticks_over() -> None:
    assert Periodic("t", None, 30, "run_once").is_wanted(90.0, 5000.0)
    assert Periodic("t", None, 30, "skip").is_wanted(90.0, 95.0)
    assert not Periodic("t", None, 30, "skip").is_wanted(90.0, 110.0)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cron": "* * * * *", "every": 5},
        {"every": 0.1},
        {"cron": "nonsense"},
        {"cron": "0 0 31 2 *"},
        {"cron": "61 * * * *"},
    ],
)
def test_schedule_that_cannot_be_read_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(InvalidJobDefinition):
        Perdure().periodic(**options)(lambda: None)  # type: ignore[arg-type]


def test_task_that_needs_arguments_is_refused() -> None:
    app = Perdure()
    with pytest.raises(InvalidJobDefinition, match="without arguments"):

        @app.periodic(every=5)
        @app.job
        def needs(number: int) -> None: ...


def test_one_schedule_a_task() -> None:
    app = Perdure()

    def tick() -> None: ...

    task = app.periodic(every=5)(tick)
    with pytest.raises(DuplicateTask):
        app.periodic(every=6)(task)
