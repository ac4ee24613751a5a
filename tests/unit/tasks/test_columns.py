"""Text of a field to the value of a column."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    String,
    Text,
    Time,
    Uuid,
)
from sqlalchemy.types import NullType

from perdure_tasks.importing.columns import BadValue, RowMaker, UnsupportedColumn

UUID_TEXT = "01890a5d-ac96-774b-bcce-b302099a8057"


def value(kind: Any, text: str, *, nullable: Any = True) -> Any:
    return RowMaker([Column("c", kind, nullable=nullable)]).row([text])["c"]


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (Integer(), " -42 ", -42),
        (Float(), "1.5e3", 1500.0),
        (Numeric(), "0.10", Decimal("0.10")),
        (Boolean(), "Yes", True),
        (Boolean(), "0", False),
        (Date(), "2026-01-31", date(2026, 1, 31)),
        (Time(), "12:30", time(12, 30)),
        (DateTime(), "2026-01-31T12:00:00+01:00", datetime(2026, 1, 31, 11, 0)),
        (DateTime(), "2026-01-31 12:00", datetime(2026, 1, 31, 12, 0)),
        (DateTime(timezone=True), "2026-01-31 12:00", datetime(2026, 1, 31, 12, 0, tzinfo=UTC)),
        (Uuid(), UUID_TEXT, UUID(UUID_TEXT)),
        (LargeBinary(), "\\x00ff", b"\x00\xff"),
        (JSON(), '{"a": [1]}', {"a": [1]}),
        (ARRAY(Integer), "[1, 2]", [1, 2]),
        (Text(), " kept ", " kept "),
        (String(3), "abc", "abc"),
        (NullType(), "as it is", "as it is"),
        (Integer(), "", None),
        (Text(), "", None),
    ],
)
def test_value(kind: Any, text: str, expected: Any) -> None:
    assert value(kind, text) == expected


def test_not_a_number_is_a_number_for_floats() -> None:
    assert math.isnan(value(Float(), "NaN"))
    assert value(Float(), "-inf") == -math.inf


def test_empty_field_where_null_is_not_allowed() -> None:
    assert value(Text(), "", nullable=False) == ""
    with pytest.raises(BadValue, match="c: is empty and must not be"):
        value(Integer(), "", nullable=False)


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        (Integer(), "1_000", "'1_000' is no whole number"),
        (Integer(), "1.0", "is no whole number"),
        (Integer(), "٣", "is no whole number"),
        (Integer(), str(2**63), "does not fit 64 bits"),
        (Integer(), "x" * 500, "'x{59}…' is no whole number"),
        (Float(), "1,5", "is no number"),
        (Numeric(), "12e99999", "is no number"),
        (Boolean(), "maybe", "is neither true nor false"),
        (Date(), "31.01.2026", "does not fit"),
        (DateTime(), "now", "is no moment"),
        (DateTime(), "0001-01-01T00:00+23:00", "does not fit"),
        (Uuid(), "1234", "does not fit"),
        (LargeBinary(), "xyz", "does not fit"),
        (JSON(), "{a: 1}", "is no JSON"),
        (String(3), "abcd", "has 4 characters, at most 3 fit"),
    ],
)
def test_bad_value_names_column_and_reason(kind: Any, text: str, reason: str) -> None:
    with pytest.raises(BadValue, match=f"^c: .*{reason}"):
        value(kind, text)


def test_number_of_fields() -> None:
    with pytest.raises(BadValue, match="has 2 fields, not 1"):
        RowMaker([Column("c", Integer)]).row(["1", "2"])


def test_unsupported_column() -> None:
    with pytest.raises(UnsupportedColumn, match="'c' is"):
        RowMaker([Column("c", Interval)])
