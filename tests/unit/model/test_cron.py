"""Cron expressions mean what people expect of cron, also when clocks change."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timezone
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from perdure.model.cron import Cron, CronUnreadable, zone_of

BERLIN, NEW_YORK, LORD_HOWE = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe")


def ticks(cron: Cron, after: str) -> Iterator[str]:
    """Yield the ticks after a local time as local times with their offsets."""
    moment = datetime.fromisoformat(after).replace(tzinfo=cron.zone).timestamp()
    while True:
        moment = cron.next_after(moment)
        yield datetime.fromtimestamp(moment, cron.zone).isoformat(" ")[5:].removesuffix("+00:00")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("*/20 * * * *", ["01-01 00:20:00", "01-01 00:40:00", "01-01 01:00:00"]),
        ("5-15/5 3 * * *", ["01-01 03:05:00", "01-01 03:10:00", "01-01 03:15:00", "01-02 03:05:00"]),
        ("0  9 * *  mon", ["01-05 09:00:00", "01-12 09:00:00"]),
        ("0 9 * * MON-FRI", ["01-01 09:00:00", "01-02 09:00:00", "01-05 09:00:00"]),
        ("0 9 * JAN,mar SUN", ["01-04 09:00:00", "01-11 09:00:00", "01-18 09:00:00", "01-25 09:00:00", "03-01 09:00:00"]),
        ("0 0 * * 7", ["01-04 00:00:00", "01-11 00:00:00"]),
        ("0 0 * * 0", ["01-04 00:00:00", "01-11 00:00:00"]),
        ("0 0 * * 5-7", ["01-02 00:00:00", "01-03 00:00:00", "01-04 00:00:00", "01-09 00:00:00"]),
        ("0 0 13 * 5", ["01-02 00:00:00", "01-09 00:00:00", "01-13 00:00:00", "01-16 00:00:00"]),
        ("0 0 13 * *", ["01-13 00:00:00", "02-13 00:00:00"]),
        ("0 0 * * 5", ["01-02 00:00:00", "01-09 00:00:00"]),
        ("0 0 1,15 * MON", ["01-05 00:00:00", "01-12 00:00:00", "01-15 00:00:00", "01-19 00:00:00"]),
        ("0 0 L * *", ["01-31 00:00:00", "02-28 00:00:00", "03-31 00:00:00"]),
        ("0 0 * * MON#1", ["01-05 00:00:00", "02-02 00:00:00"]),
        ("0 0 31 * *", ["01-31 00:00:00", "03-31 00:00:00"]),
        ("*/30 * * * * *", ["01-01 00:00:30", "01-01 00:01:00", "01-01 00:01:30"]),
        ("15 0 9 * * MON", ["01-05 09:00:15", "01-12 09:00:15"]),
        ("@hourly", ["01-01 01:00:00", "01-01 02:00:00"]),
        ("@daily", ["01-02 00:00:00", "01-03 00:00:00"]),
        (" @Midnight ", ["01-02 00:00:00"]),
        ("@weekly", ["01-04 00:00:00", "01-11 00:00:00"]),
        ("@monthly", ["02-01 00:00:00", "03-01 00:00:00"]),
        ("@yearly", ["01-01 00:00:00", "01-01 00:00:00"]),
    ],
)
def test_what_expressions_mean(expression: str, expected: list[str]) -> None:
    assert list(islice(ticks(Cron(expression), "2026-01-01 00:00:00"), len(expected))) == expected


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        ("0 8 * * *", BERLIN, "2026-03-28 09:00", ["03-29 08:00:00+02:00", "03-30 08:00:00+02:00"]),
        # At 2:00 clocks go to 3:00.
        ("30 2 * * *", BERLIN, "2026-03-28 03:00", ["03-29 03:00:00+02:00", "03-30 02:30:00+02:00"]),
        ("15 30 2 * * *", BERLIN, "2026-03-28 03:00", ["03-29 03:00:15+02:00", "03-30 02:30:15+02:00"]),
        ("0,30 2 * * *", BERLIN, "2026-03-28 03:00", ["03-29 03:00:00+02:00", "03-30 02:00:00+02:00"]),
        (
            "*/30 * * * *",
            BERLIN,
            "2026-03-29 01:10",
            ["03-29 01:30:00+01:00", "03-29 03:00:00+02:00", "03-29 03:30:00+02:00"],
        ),
        ("0 * * * *", BERLIN, "2026-03-29 00:30", ["03-29 01:00:00+01:00", "03-29 03:00:00+02:00"]),
        ("30 2 * * *", NEW_YORK, "2026-03-07 03:00", ["03-08 03:00:00-04:00", "03-09 02:30:00-04:00"]),
        # At 3:00 clocks go back to 2:00.
        ("30 2 * * *", BERLIN, "2026-10-24 03:00", ["10-25 02:30:00+02:00", "10-26 02:30:00+01:00"]),
        ("15 30 2 * * *", BERLIN, "2026-10-24 03:00", ["10-25 02:30:15+02:00", "10-26 02:30:15+01:00"]),
        (
            "*/30 * * * *",
            BERLIN,
            "2026-10-25 01:40",
            [f"10-25 {t}" for t in ("02:00:00+02:00", "02:30:00+02:00", "02:00:00+01:00")],
        ),
        (
            "0 * * * *",
            BERLIN,
            "2026-10-25 01:30",
            [f"10-25 {t}" for t in ("02:00:00+02:00", "02:00:00+01:00", "03:00:00+01:00")],
        ),
        # Half an hour only, and on the other side of the world.
        ("15 2 * * *", LORD_HOWE, "2026-10-03 03:00", ["10-04 02:30:00+11:00", "10-05 02:15:00+11:00"]),
        ("45 1 * * *", LORD_HOWE, "2026-04-04 03:00", ["04-05 01:45:00+11:00", "04-06 01:45:00+10:30"]),
    ],
)
def test_when_clocks_change(expression: str, zone: ZoneInfo, after: str, expected: list[str]) -> None:
    assert list(islice(ticks(Cron(expression, zone), after), len(expected))) == expected


EXPRESSIONS = [
    "30 2 * * *",
    "0,30 1-3 * * *",
    "*/15 * * * *",
    "15 */2 * * *",
    "5 30 2 * * *",
    "*/20 */30 * * * *",
    "0 0 * * 0",
]
#: Moments at which clocks change in Berlin and in New York.
CHANGES = [
    datetime(2026, 3, 29, 1, tzinfo=UTC),
    datetime(2026, 10, 25, 1, tzinfo=UTC),
    datetime(2026, 3, 8, 7, tzinfo=UTC),
    datetime(2026, 11, 1, 6, tzinfo=UTC),
]


@given(
    st.sampled_from(EXPRESSIONS),
    st.sampled_from([UTC, BERLIN, NEW_YORK]),
    st.sampled_from(CHANGES),
    st.integers(-6 * 3600, 6 * 3600),
    st.floats(0, 1, exclude_max=True),
)
@example("30 2 * * *", BERLIN, CHANGES[1], 600, 0.5)
@example("5 30 2 * * *", BERLIN, CHANGES[1], 1800, 0.0)
def test_ticks_do_not_depend_on_where_one_begins_to_look(
    expression: str, zone: Any, change: datetime, offset: int, part: float
) -> None:
    cron, look = Cron(expression, zone), change.timestamp() + offset
    found: list[float] = []
    moment = change.timestamp() - 10 * 3600
    while not found or found[-1] <= look + 1:
        moment = cron.next_after(moment)
        found.append(moment)
    assert found == sorted(set(found))
    assert cron.next_after(look + part) == next(tick for tick in found if tick > look + part)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "nonsense",
        "* * * *",
        "* * * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 8",
        "60 * * * * *",
        "*/0 * * * *",
        "5-1 * * * *",
        "* * * * MOO",
        "* * * * FRI-MON",
        "-1 * * * *",
        "1.5 * * * *",
        "@reboot",
        "@fortnightly",
        None,
        5,
    ],
)
def test_what_cannot_be_read_is_refused(expression: Any) -> None:
    with pytest.raises(CronUnreadable):
        Cron(expression)


@pytest.mark.parametrize("expression", ["0 0 31 2 *", "0 0 30 FEB *", "0 0 31 4,6 *"])
def test_what_never_comes_is_refused(expression: str) -> None:
    with pytest.raises(CronUnreadable):
        Cron(expression)


def test_what_is_rare_is_found() -> None:
    leap = Cron("0 0 29 2 *").next_after(datetime(2096, 3, 1, tzinfo=UTC).timestamp())
    assert datetime.fromtimestamp(leap, UTC) == datetime(2104, 2, 29, tzinfo=UTC)
    assert leap < math.inf


def test_zones() -> None:
    assert zone_of(None) is UTC
    assert zone_of("Europe/Berlin") == BERLIN
    assert zone_of(BERLIN) is BERLIN
    assert zone_of(timezone.utc) is UTC  # noqa: UP017 - the older name of the same
    for wrong in ("Europe/Berln", "", "../../etc/passwd", "/etc/localtime", 5, object()):
        with pytest.raises(CronUnreadable, match="zoneinfo"):
            zone_of(wrong)  # type: ignore[arg-type]
