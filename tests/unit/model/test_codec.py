"""Values come back as themselves, or are refused with the name of the part that cannot."""

from __future__ import annotations

import dataclasses
import enum
import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from perdure.errors import PerdureError, Unserialisable
from perdure.model.codec import codec

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ZONES = st.timezones()
OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.binary(max_size=20)
    | st.datetimes(timezones=st.none() | OFFSETS | ZONES)
    | st.dates()
    | st.times(timezones=st.none() | OFFSETS | ZONES)
    | st.timedeltas()
    | st.uuids()
    | st.decimals(allow_nan=False)
)
HASHABLE = st.recursive(
    SCALARS, lambda inner: st.frozensets(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple), max_leaves=4
)
KEYS = TEXT | st.sampled_from(["$", "v"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.sets(HASHABLE, max_size=4)
        | st.frozensets(HASHABLE, max_size=4)
    ),
    max_leaves=12,
)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass(frozen=True)
class Point:
    x: float
    y: float
    seen: datetime | None = None


@dataclasses.dataclass
class Path_:
    points: list[Point]
    colour: Colour
    weights: dict[str, Decimal]


class Struct(msgspec.Struct):
    name: str
    when: date


class Model(BaseModel):
    name: str
    price: Decimal


def same(left: Any, right: Any) -> bool:
    """Equal, of the same types all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    return repr(left) == repr(right) if not isinstance(left, (set, frozenset)) else bool(left == right)


@given(VALUES)
def test_untyped_values_come_back_as_themselves(value: Any) -> None:
    text = codec.encode(value)
    json.loads(text)
    assert same(codec.decode(text), value)


@given(VALUES)
def test_the_json_text_of_a_value_is_always_the_same(value: Any) -> None:
    assert codec.encode(value) == codec.encode(codec.decode(codec.encode(value)))


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (Colour.RED, Colour),
        (Level.HIGH, Level),
        (Point(1.5, -2.0, datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)), Point),
        (Path_([Point(1, 2), Point(3, 4)], Colour.BLUE, {"a": Decimal("1.10")}), Path_),
        ([Point(1, 2)], list[Point]),
        ({"a": Point(1, 2)}, dict[str, Point]),
        (Point(1, 2), Point | None),
        (None, Point | None),
        (Struct("a", date(2026, 2, 28)), Struct),
        (Model(name="a", price=Decimal("9.90")), Model),
        ([Model(name="a", price=Decimal(1))], list[Model]),
        ((1, "a"), tuple[int, str]),
        ({1, 2}, set[int]),
        (frozenset({1, 2}), frozenset[int]),
        ({Colour.RED}, set[Colour]),
        ({Point(1, 2), Point(3, 4)}, set[Point]),
        ({(1, "a"), (2, "b")}, set[tuple[int, str]]),
        ({1: "a", 2: "b"}, dict[int, str]),
        ({Colour.RED: 1}, dict[Colour, int]),
        ({UUID(int=5): "a"}, dict[UUID, str]),
        ({date(2026, 1, 1): 1}, dict[date, int]),
        ({"$": "datetime", "v": "no"}, dict[str, str]),
        (b"\x00\xff", bytes),
        (timedelta(days=-1, microseconds=3), timedelta),
        (time(1, 2, 3), time),
        (Decimal("1E+400"), Decimal),
        (1, float),
    ],
    ids=lambda value: type(value).__name__,
)
def test_typed_values_come_back_through_their_annotation(value: Any, annotation: Any) -> None:
    again = codec.decode(codec.encode(value, annotation), annotation)
    assert again == value
    assert type(again) is type(value) or annotation is float


def test_a_set_of_tuples_comes_back_without_an_annotation() -> None:
    assert codec.decode(codec.encode({(1, (2, 3))})) == {(1, (2, 3))}


@pytest.mark.parametrize(
    "value",
    [
        {"$": "datetime", "v": "2026-01-01"},
        {"$": None},
        {"$": {"$": "set", "v": []}},
        {"$": "no such tag"},
        {"a": {"$": 1}},
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_dict_with_a_dollar_key_stays_a_dict(value: Any) -> None:
    assert codec.decode(codec.encode(value)) == value


class Text(str):
    pass


class Many(list):  # type: ignore[type-arg]
    pass


@pytest.mark.parametrize("value", [Text("a"), Many([1]), Level.LOW], ids=lambda value: type(value).__name__)
def test_subclasses_are_refused_where_nothing_says_what_they_were(value: Any) -> None:
    with pytest.raises(Unserialisable, match="Annotate the parameter"):
        codec.encode(value)


def cyclic_list() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def cyclic_dict() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (float("nan"), "what: nan has no JSON form"),
        ({"a": [1, float("inf")]}, r"what\['a'\]\[1\]: inf"),
        (2**64, "does not fit 64 bits"),
        (-(2**63) - 1, "does not fit 64 bits"),
        (object(), "a builtins.object has no JSON form"),
        ([lambda: 1], r"what\[0\]: a builtins.function"),
        (1j, "complex"),
        (Point, "type"),
        ("\ud800", "UTF-8"),
        ({"\udfff": 1}, "UTF-8"),
        (cyclic_list(), "contains itself"),
        (cyclic_dict(), "contains itself"),
        ({1: "a", "1": "b"}, "same text"),
        ({(1, 2): "a"}, r"the key \(1, 2\)"),
        ({1.5: "a"}, "the key 1.5"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_carry_is_refused(value: Any, said: str) -> None:
    with pytest.raises(Unserialisable, match=said) as refused:
        codec.encode(value, what="what")
    assert isinstance(refused.value, PerdureError)
    assert isinstance(refused.value, TypeError)


@pytest.mark.parametrize(
    "value", [Point(1, 2), Colour.RED, Struct("a", date.min), {1: 2}, {uuid4(): 1}], ids=lambda value: type(value).__name__
)
def test_what_would_come_back_as_something_else_is_refused_without_an_annotation(value: Any) -> None:
    with pytest.raises(Unserialisable, match="Annotate the parameter"):
        codec.encode(value)


@pytest.mark.parametrize(
    ("text", "annotation"),
    [('"a"', int), ("1.5", int), ("[1]", dict), ('{"x": 1}', Point), ('{"name": "a"}', Model), ('"green"', Colour)],
)
def test_a_text_that_does_not_fit_its_annotation_is_refused(text: str, annotation: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        codec.decode(text, annotation)


def test_deep_nesting_is_refused_before_it_overflows() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(Unserialisable, match="too deep"):
        codec.encode(value)
