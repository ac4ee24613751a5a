"""Which tick of a schedule is due."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from perdure import Perdure
from perdure.errors import DuplicateTask, InvalidJobDefinition
from perdure.model.cron import Cron
from perdure.submit.periodic import Periodic


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def cron(expression: str) -> Periodic:
    return Periodic("t", "t", cron=Cron(expression))


def every(seconds: float, **options: Any) -> Periodic:
    return Periodic("t", "t", every=seconds, **options)


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
    schedule = every(30)

    assert schedule.due(60.0, 89.9) is None
    assert schedule.due(60.0, 90.0) == 90.0
    assert schedule.due(60.0, 1000.0) == 990.0
    assert schedule.due(100.0, 60.0) is None  # a clock that steps back fires nothing


def test_skip_passes_late_ticks_over() -> None:
    assert every(30, missed="run_once").is_wanted(90.0, 5000.0)
    assert every(30, missed="skip").is_wanted(90.0, 95.0)
    assert not every(30, missed="skip").is_wanted(90.0, 110.0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "cron= or every="),
        ({"cron": "* * * * *", "every": 5}, "cron= or every="),
        ({"every": 0.1}, "every=0.1"),
        ({"every": float("nan")}, "every=nan"),
        ({"every": float("inf")}, "every=inf"),
        ({"every": "5"}, "every='5'"),
        ({"every": True}, "every=True"),
        ({"cron": "nonsense"}, "cron='nonsense'"),
        ({"cron": "0 0 31 2 *"}, "never comes|Bad day"),
        ({"cron": "61 * * * *"}, "Bad minute"),
        ({"cron": "@reboot"}, "Known: @yearly"),
        ({"cron": "@daily", "tz": "Europe/Berln"}, "tz='Europe/Berln'"),
        ({"every": 5, "tz": "Europe/Berlin"}, "tz= is for cron="),
        ({"every": 5, "jitter": -1}, "jitter=-1"),
        ({"every": 5, "jitter": "a"}, "jitter='a'"),
        ({"every": 5, "jitter": 1e9}, "jitter="),
        ({"every": 5, "missed": "all"}, "missed='all' is not known"),
        ({"every": 5, "args": (1,)}, "with these args="),
        ({"every": 5, "kwargs": {"number": 1}}, "with these args="),
        ({"every": 5, "bulkhed": "normal"}, "bulkhed"),
        ({"every": 5, "evry": 5}, "evry"),
    ],
)
def test_schedule_that_cannot_be_read_is_refused(options: dict[str, Any], said: str) -> None:
    app = Perdure()
    with pytest.raises(InvalidJobDefinition, match=said):
        app.periodic(**options)(lambda: None)
    assert app.schedules == {}


@pytest.mark.parametrize(
    ("option", "said"), [({"bulkhead": "normal"}, r"periodic\(bulkhead=.*give it to @app.job"), ({"evry": 5}, "evry")]
)
def test_options_that_are_no_schedule_s_are_refused_above_a_job(option: dict[str, Any], said: str) -> None:
    app = Perdure()
    with pytest.raises(InvalidJobDefinition, match=said):

        @app.periodic(every=5, **option)
        @app.job
        def tick() -> None: ...


def greet(name: str, *, at: datetime | None = None) -> None: ...


def test_task_that_needs_arguments_is_given_them() -> None:
    app = Perdure()
    with pytest.raises(InvalidJobDefinition, match="without arguments; give args= or kwargs="):
        app.periodic(every=5)(app.job(greet))
    with pytest.raises(InvalidJobDefinition, match=r"with these args=.*Expected `str`, got `int`"):
        app.periodic(every=5, args=(1,))(app.job(greet))
    app.periodic(every=5, args=("ann",), kwargs={"at": datetime(2026, 1, 1)})(app.job(greet))
    [schedule] = app.schedules.values()
    assert (schedule.args, schedule.kwargs) == (("ann",), {"at": datetime(2026, 1, 1)})


def test_schedules_of_one_task_have_names_of_their_own() -> None:
    app = Perdure()

    @app.periodic(cron="0 8 * * *", tz="Europe/Berlin", args=("morning",))
    @app.periodic(cron="0 20 * * *", tz="Europe/Berlin", args=("evening",), name="evening")
    @app.job(name="shop.greet")
    def greet(name: str) -> None: ...

    assert sorted(app.schedules) == ["shop.greet", "shop.greet/evening"]
    assert {schedule.task for schedule in app.schedules.values()} == {"shop.greet"}
    assert app.schedules["shop.greet"].key(5.0) == "tick:5.000"  # as ledgers know it that had one schedule for a task
    assert app.schedules["shop.greet/evening"].key(5.0) == "tick/evening:5.000"
    for name in (None, "evening"):
        with pytest.raises(DuplicateTask, match="give another name="):
            app.periodic(every=6, args=("x",), name=name)(greet)
    odd: tuple[Any, ...] = ("", "n" * 129, "a\x00b", 5)
    for name in odd:
        with pytest.raises(InvalidJobDefinition, match="name="):
            app.periodic(every=6, args=("x",), name=name)(greet)


def test_on_a_function_the_name_is_the_task_s() -> None:
    app = Perdure()
    task = app.periodic(every=5, name="shop.tick", bulkhead="critical")(lambda: None)
    assert (task.name, task.bulkhead, list(app.schedules)) == ("shop.tick", "critical", ["shop.tick"])


def test_a_function_that_is_made_anew_is_given_its_schedules_anew() -> None:
    app = Perdure()
    names: dict[str, Any] = {"app": app, "__name__": "cells"}
    for seconds in (5, 6):
        above = f"@app.periodic(every={seconds})\n@app.periodic(every={seconds}, name='n{seconds}')"
        exec(f"{above}\n@app.job\ndef tick(): ...", names)
        assert {name: schedule.every for name, schedule in app.schedules.items()} == {
            "cells.tick": seconds,
            f"cells.tick/n{seconds}": seconds,
        }


def test_jitter_is_drawn_for_each_tick() -> None:
    rng = random.Random(1)
    drawn = [every(30, jitter=10).delay(rng) for _ in range(100)]
    assert all(delay is not None and 0 < delay <= 10 for delay in drawn)
    assert len(set(drawn)) == 100
    assert every(30).delay(rng) is None


def test_a_schedule_by_local_time_is_due_by_local_time() -> None:
    berlin = Periodic("t", "t", cron=Cron("0 8 * * *", ZoneInfo("Europe/Berlin")))
    assert berlin.due(at("2026-06-30 07:00"), at("2026-07-01 05:59")) is None
    assert berlin.due(at("2026-06-30 07:00"), at("2026-07-01 06:00")) == at("2026-07-01 06:00")
    assert berlin.due(at("2026-11-30 07:00"), at("2026-12-01 06:00")) is None
