"""What a job receives equals what was submitted, in type and content; otherwise the submit was refused, with the place."""

from __future__ import annotations

import collections
import contextlib
import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from perdure.errors import InvalidArguments, Unserialisable
from perdure.model.codec import codec
from perdure.model.codec.tags import READERS
from perdure.model.signature import Signature
from support.carried import (
    Access,
    Aliased,
    Allowing,
    Base,
    Cat,
    Child,
    ChildModel,
    ChildPair,
    ChildStruct,
    Colour,
    Computing,
    Counting,
    Derived,
    Dog,
    Excluding,
    Frozen,
    Generic_,
    Ids,
    Incomparable,
    Keeping,
    Keyed,
    Level,
    Library,
    Model,
    Nested,
    Pair,
    PydanticData,
    Raising,
    Renamed,
    Row,
    Status,
    Struct,
    Text,
    Twice,
    changed,
)

BERLIN = ZoneInfo("Europe/Berlin")
AMBIGUOUS = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)

KEPT: list[tuple[Any, Any]] = [
    (True, bool),
    (True, bool | int),
    (1, bool | int),
    (2**64 - 1, int),
    (-(2**63), int),
    (1.0, float),
    (-0.0, float),
    (5e-324, float),
    (1, int | float),
    (1.0, int | float),
    ("2026-01-01", str),
    ("a\x00b\u2028\U0001f600", str),
    ((1, 2), tuple[int, int]),
    ((1, "a"), tuple[int, str]),
    ((), tuple[int, ...]),
    ((1, (2, [3])), Any),
    ([(1, 2)], list[tuple[int, int]]),
    ([1, 2], Sequence[int]),
    ({1}, AbstractSet[int]),
    ({1}, set[int]),
    (frozenset({1}), frozenset[int]),
    (frozenset({(1, frozenset({"a"}))}), Any),
    ({"a": {1: "x"}}, dict[str, dict[int, str]]),
    ({date(2026, 1, 1): 1}, dict[date, int]),
    ({Colour.RED: 1}, dict[Colour, int]),
    ({"b": 1, "a": 2}, Mapping[str, int]),
    (b"", bytes),
    (b"\x00\xff", Any),
    (Decimal("1.10"), Decimal),
    (Decimal("-0"), Any),
    (Decimal("NaN"), Any),
    (Decimal("sNaN12"), Decimal),
    (Decimal("-Infinity"), Decimal),
    (UUID(int=5), UUID),
    (datetime(2026, 1, 1, tzinfo=UTC), datetime),
    (AMBIGUOUS, datetime),
    (AMBIGUOUS.replace(fold=1), datetime),
    (AMBIGUOUS.replace(fold=1, tzinfo=None), Any),
    (datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")), datetime | None),
    (datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2), "CEST")), Any),
    (datetime(2026, 1, 1, tzinfo=timezone(timedelta(seconds=-1, microseconds=5))), Any),
    (datetime(2026, 1, 1).astimezone(), Any),
    (time(1, 2, tzinfo=BERLIN), time),
    (time(1, 2, fold=1), Any),
    (timedelta(-1, 1, 1), timedelta),
    (Colour.BLUE, Colour),
    (Level.LOW, Level),
    (Status.OPEN, Status),
    ([Status.OPEN], list[Status]),
    (Access.READ | Access.WRITE, Access),
    ("a", Literal["a", "b"]),
    (Pair(1, "a"), Pair),
    ([Pair(1)], list[Pair]),
    ({"a": 1}, Keyed),
    (Base(5), Base),
    (Child(5, 6), Child),
    (Derived(3), Derived),
    (Incomparable([Base(1)]), Incomparable),
    (Struct(3), Struct | None),
    (Renamed("Ann"), Renamed),
    (Cat("Tom"), Cat | Dog),
    ([Dog("Rex"), Cat("Tom")], list[Cat | Dog]),
    (Row(1, 2), Row),
    (PydanticData(3), PydanticData),
    (Model(a=3), Model),
    (Model(note=None), Model | None),
    (ChildModel(), ChildModel),
    (Excluding(shown="a", hidden="b"), Excluding),
    (Aliased(customerName="Ann", amount=3), Aliased),  # type: ignore[call-arg]
    (Aliased(customerName="Ann", amount=3, cents=7), Aliased),  # type: ignore[call-arg]
    (Computing(a=3), Computing),
    (Allowing(a=1, more=[1, (2,)]), Allowing),  # type: ignore[call-arg]
    (Keeping(a=1), Keeping),
    (Frozen(), Frozen),
    (Nested(inner=Model(note="x"), others=[Model()], by_key={3: Model(a=2)}, point=Base(3)), Nested),
    (Ids([1, 2]), Ids),
    (Generic_[int](item=3), Generic_[int]),
    ([Model(a=1), Model()], list[Model]),
]

#: Kept as they are where they are an argument by themselves, and not within another one.
KEPT_ALONE: list[tuple[Any, Any]] = [
    (1, float),
    ((1, 2), Sequence[int]),
    ((1, 2), Collection[int]),
    ([1, 2], Iterable[int]),
    (frozenset({1}), AbstractSet[int]),
    ((1, 2), Iterable[int]),
]

REFUSED: list[tuple[Any, Any, str]] = [
    (True, int, "int"),
    (True, float, "float"),
    (1, bool, "bool"),
    (1.0, int, "int"),
    ([2**53 + 1], list[float], r"arg\)\[0\]: a int would come back as a float"),
    (2**64, int, "64 bits"),
    (-(2**63) - 1, Any, "64 bits"),
    (10**5000, Any, "64 bits"),
    (float("nan"), float, "no JSON form"),
    ([float("inf")], list[float], "no JSON form"),
    (Text("a"), str, "a Text would come back as a? ?(str|plain JSON)"),
    (Status.OPEN, str, "Status"),
    (Level.LOW, int, "Level"),
    (Level.LOW, float, "Level"),
    ("red", Colour, "a str would come back as a Colour"),
    ("2026-01-01T00:00:00", datetime, "a str would come back as a datetime"),
    ("2026-01-01", date, "a str would come back as a date"),
    (1.5, Decimal, "a float would come back as a Decimal"),
    (1, Decimal, "a int would come back as a Decimal"),
    (1.5, timedelta, "Expected `duration`, got `float`"),
    ("YQ==", bytes, "a str would come back as a bytes"),
    (str(UUID(int=5)), UUID, "a str would come back as a UUID"),
    (bytearray(b"a"), bytes, "bytearray has no JSON form"),
    ((1, 2), list[int], "a tuple would come back as a list"),
    ([1, 2], tuple[int, int], "a list would come back as a tuple"),
    ([1, 2], set[int], "a list would come back as a set"),
    ({1}, frozenset[int], "a set would come back as a frozenset"),
    ({"a": (1,)}, dict[str, list[int]], r"arg\)\['a'\]: a tuple would come back as a list"),
    (Pair(1), tuple[int, str], "a Pair would come back as a tuple"),
    (Pair(1), Any, "a Pair would come back as plain JSON"),
    (ChildPair(1), Pair, "a ChildPair would come back as a Pair"),
    ({1: "a"}, Any, "the key 1"),
    ({True: "a"}, dict[int, str], "key|int"),
    ({Level.LOW: "a"}, dict[int, str], "the key"),
    ({"1": "a"}, dict[int, str], "the key '1'"),
    ({Text("a"): 1}, dict[str, int], "the key 'a'"),
    ({1.5: "a"}, dict[float, str], "the key 1.5"),
    (collections.OrderedDict(a=1), dict[str, int], "a OrderedDict would come back as"),
    (collections.defaultdict(int, a=1), Mapping[str, int], "a defaultdict would come back as"),
    (collections.Counter("a"), Any, "a Counter would come back as plain JSON"),
    (collections.deque([1]), list[int], "deque has no JSON form"),
    (range(3), Sequence[int], "range has no JSON form"),
    ({"a": 1, "c": 2}, Keyed, "the key 'c' would be lost"),
    (datetime(2026, 1, 1, tzinfo=Library(None)), datetime, "zoneinfo.ZoneInfo"),
    ({"a": 1}, Base, "a dict would come back as a Base"),
    (Child(), Base, "a Child would come back as a Base"),
    ([Child()], list[Base], r"arg\)\[0\]: a Child would come back as a Base"),
    ({"a": Child()}, dict[str, Base], r"\['a'\]: a Child"),
    (Child(), Base | None, "a Child would come back as a Base"),
    ((Child(), 1), tuple[Base, int], r"\[0\]: a Child"),
    (Incomparable([Child()]), Incomparable, r"arg\).a\[0\]: a Child would come back as a Base"),
    (Base(Text("a")), Base, "int"),  # type: ignore[arg-type]
    (Base(True), Base, "int"),
    (changed(Base(), more=1), Base, r"arg\).more is no field and would be lost"),
    (Counting(1), Counting, r"arg\).a would come back as another value"),
    (ChildStruct(), Struct, "a ChildStruct would come back as a Struct"),
    ([ChildStruct()], list[Struct], r"\[0\]: a ChildStruct"),
    (Struct(Level.LOW), Struct, "Level|int"),
    (Row(1, "x"), Row, "int"),  # type: ignore[arg-type]
    (ChildModel(), Model, "a ChildModel would come back as a Model"),
    ([ChildModel()], list[Model], r"\[0\]: a ChildModel"),
    ({"a": ChildModel()}, dict[str, Model], r"\['a'\]: a ChildModel"),
    (ChildModel(), Model | None, "a ChildModel"),
    (Nested(inner=ChildModel()), Nested, r"arg\).inner: a ChildModel would come back as a Model"),
    (Nested(inner=Model(), point=Child()), Nested, r"arg\).point: a Child would come back as a Base"),
    (changed(Nested(inner=Model()), inner={"a": 1}), Nested, r"arg\).inner: a dict would come back as a Model"),
    (changed(Model(), a="x"), Model, "a"),
    (Raising(), Raising, "ZeroDivisionError: boom"),
    (Twice(cents=1), Twice, r"arg\).cents would come back as another value"),
    (Generic_[int](item=3), Generic_[float], "Generic_"),
    (Model(), Any, "a Model would come back as plain JSON"),
    ([Base()], Any, r"\[0\]: a Base would come back as plain JSON"),
    (Colour.RED, Any, "a Colour would come back as plain JSON"),
    (object(), Any, "no JSON form"),
    (1j, Any, "no JSON form"),
    (Base, Any, "no JSON form"),
    (len, Any, "no JSON form"),
]


def signature(annotation: Any) -> Signature:
    def work(arg: Any) -> Any: ...

    work.__annotations__ = {"arg": annotation, "return": annotation}
    return Signature(work, "shop.work")


def assert_same(value: Any, again: Any) -> None:
    assert type(again) is type(value)
    assert repr(again) == repr(value) or again == value
    if isinstance(value, (datetime, time)):
        assert (again.tzinfo, again.fold, again.tzname()) == (value.tzinfo, value.fold, value.tzname())
    if isinstance(value, BaseModel):
        assert again.model_dump(exclude_unset=True) == value.model_dump(exclude_unset=True)
        assert again.model_fields_set == value.model_fields_set


@pytest.mark.parametrize(("value", "annotation"), [*KEPT, *KEPT_ALONE], ids=lambda value: type(value).__name__)
def test_what_comes_out_is_what_went_in(value: Any, annotation: Any) -> None:
    work = signature(annotation)
    for args, kwargs in (((value,), {}), ((), {"arg": value})):
        payload = work.encode(args, kwargs)
        [again], _ = work.decode(payload.args, payload.kwargs)
        assert_same(value, again)
    assert_same(value, codec.decode_returned(work.encode_result(value), work.returns))
    restored = work.check_stored(*(msgspec.json.decode(text) for text in (payload.args, payload.kwargs)))
    assert restored == payload


@pytest.mark.parametrize(("value", "annotation"), KEPT, ids=lambda value: type(value).__name__)
def test_so_is_what_is_within_another_value(value: Any, annotation: Any) -> None:
    for outer, hint in (
        ([value], list[annotation]),  # type: ignore[valid-type]
        ((value, 1), tuple[annotation, int]),  # type: ignore[valid-type]
        ({0: value}, dict[int, annotation]),  # type: ignore[valid-type]
    ):
        again = codec.decode(codec.encode(outer, hint), hint)[0]
        assert_same(value, again)


@pytest.mark.parametrize(("value", "annotation", "said"), REFUSED, ids=lambda value: type(value).__name__)
def test_what_would_come_out_changed_is_refused(value: Any, annotation: Any, said: str) -> None:
    with pytest.raises((Unserialisable, InvalidArguments), match=said) as refused:
        signature(annotation).encode((value,), {})
    assert "shop.work" in str(refused.value)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [(Child(), Base), (ChildModel(), Model), ("2026-01-01T00:00:00", datetime), ((1,), list[int]), (Twice(cents=1), Twice)],
)
def test_results_and_checkpoints_are_refused_as_arguments_are(value: Any, annotation: Any) -> None:
    with pytest.raises(Unserialisable, match=r"the result of shop\.work"):
        signature(annotation).encode_result(value)
    with pytest.raises(Unserialisable, match="state"):
        codec.encode(value, annotation, what="the state")


@pytest.mark.parametrize(("value", "annotation"), [("x", int), (None, Base), ({"a": 1}, list[int]), ((1, 2), int)])
def test_a_result_that_is_not_what_its_function_promised_comes_back_all_the_same(value: Any, annotation: Any) -> None:
    work = signature(annotation)
    assert_same(value, codec.decode_returned(work.encode_result(value), work.returns))


def test_a_foreign_zone_with_a_fixed_offset_becomes_python_s_own() -> None:
    moment = datetime(2026, 1, 1, tzinfo=Library(timedelta(hours=1)))
    again = codec.decode(codec.encode(moment))
    assert again == moment
    assert again.tzinfo == timezone(timedelta(hours=1))


@pytest.mark.parametrize("value", [Model(), Derived(1)], ids=repr)
def test_an_object_whose_field_has_no_value_is_refused(value: Any) -> None:
    broken = copy.copy(value)
    vars(broken).clear()
    with pytest.raises(Unserialisable, match="has no value"):
        signature(type(value)).encode((broken,), {})


def test_a_private_attribute_that_was_changed_is_refused() -> None:
    value = Keeping(a=1)
    value._kept = 5
    with pytest.raises(Unserialisable, match=r"_kept would come back as another value"):
        signature(Keeping).encode((value,), {})


def test_variadic_arguments_are_looked_at_one_by_one() -> None:
    def work(*items: Base, **named: Model) -> None: ...

    found = Signature(work, "shop.work")
    payload = found.encode((Base(1), Base(2)), {"x": Model(a=1)})
    assert found.decode(payload.args, payload.kwargs) == ([Base(1), Base(2)], {"x": Model(a=1)})
    with pytest.raises(Unserialisable, match=r"items\)\[1\]: a Child"):
        found.encode((Base(1), Child()), {})
    with pytest.raises(Unserialisable, match=r"named\)\['x'\]: a ChildModel"):
        found.encode((), {"x": ChildModel()})


def test_what_a_person_types_in_becomes_the_annotated_types() -> None:
    def work(
        customer: Aliased, at: datetime, pair: tuple[int, int], *rest: Base, colour: Colour, **more: Decimal
    ) -> None: ...

    found = Signature(work, "shop.work")
    args = [{"customerName": "Ann", "amount": 3}, "2026-01-01T00:00:00", [1, 2], {"a": 5}]
    typed = found.typed(args, {"colour": "red", "x": "1.5"}, typed_in=True)
    ann = Aliased(customerName="Ann", amount=3)  # type: ignore[call-arg]
    assert typed == ([ann, datetime(2026, 1, 1), (1, 2), Base(5)], {"colour": Colour.RED, "x": Decimal("1.5")})
    payload = found.encode(*typed)
    assert found.decode(payload.args, payload.kwargs) == typed
    with pytest.raises(InvalidArguments, match="missing"):
        found.typed([], {})


def test_arguments_of_an_earlier_release_are_read() -> None:
    """Before tuples, frozensets and partial models had tags."""

    def work(a: tuple[int, str], b: frozenset[int], c: Model, d: set[tuple[int, int]]) -> None: ...

    args = '[[1,"a"],{"$":"set","v":[1]},{"a":3,"note":null},{"$":"set","v":[[1,2]]}]'
    assert Signature(work, "w").decode(args, "{}")[0] == [(1, "a"), frozenset({1}), Model(a=3), {(1, 2)}]


@pytest.mark.parametrize(
    "content",
    ["[]", "[1]", "[{}]", "[{}, 5]", '["a", []]', "5", "null", '"x"', '["x", 5, 0]', '["2026-01-01", "Nowhere/There", 0]'],
)
@pytest.mark.parametrize("tag", [*READERS, "dict", "tuple", "set", "frozenset", "model", "no such tag"])
def test_stored_values_that_are_broken_are_refused_by_one_error(tag: str, content: str) -> None:
    args = f'[{{"$": "{tag}", "v": {content}}}]'
    for annotation in (Model, datetime, Decimal):
        with contextlib.suppress(InvalidArguments):  # a few of them are values, such as the decimal 5
            signature(annotation).decode(args, "{}")


SIMPLE = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(max_size=3) | st.dates()
ANYTHING = st.recursive(
    SIMPLE
    | st.sampled_from([Level.LOW, Status.OPEN, Text("a"), Base(), Child(), Model(), ChildModel(), Pair(1, "a"), AMBIGUOUS])
    | st.decimals()
    | st.uuids(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=2) | st.integers(0, 3), inner, max_size=3)
    ),
    max_leaves=6,
)
ANNOTATIONS = st.sampled_from(
    [
        *(Any, int, float, str, bool, bytes, date, Decimal, UUID, Base, Model, Pair, object, Level, Status, datetime),
        *(list[int], list[Any], list[Base], list[Model], tuple[Any, ...], tuple[int, str], dict[str, Any], dict[int, Any]),
        *(Base | None, Model | None, int | str | None, list[float] | None, dict[str, Model], Sequence[Any], set[int]),
    ]
)


@given(ANYTHING, ANNOTATIONS)
def test_any_value_for_any_annotation_is_kept_or_refused(value: Any, annotation: Any) -> None:
    work = signature(annotation)
    try:
        payload = work.encode((value,), {})
    except (Unserialisable, InvalidArguments):
        return
    [again], _ = work.decode(payload.args, payload.kwargs)
    assert _shape(again) == _shape(value)


def _shape(value: Any) -> Any:
    """Return a value with its types, such that equal shapes are equal values; an int is the float that it became."""
    if isinstance(value, (list, tuple)):
        return type(value), [_shape(item) for item in value]
    if isinstance(value, dict):
        return dict, [(_shape(key), _shape(item)) for key, item in value.items()]
    if type(value) in (int, float):
        return "number", float(value), -(2**53) <= value <= 2**53 or type(value)
    return type(value), repr(value)
