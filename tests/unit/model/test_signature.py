"""Calls are checked against the signature at submit, and the worker gets exactly what was checked."""

from __future__ import annotations

import dataclasses
import pathlib
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from perdure import JobContext
from perdure.errors import InvalidArguments, InvalidJobDefinition, Unserialisable
from perdure.model.signature import Signature


@dataclasses.dataclass(frozen=True)
class Item:
    sku: str
    count: int


def signature(function: Callable[..., Any]) -> Signature:
    return Signature(function, "shop.buy")


def buy(order: str, cents: int, note: str = "", *, at: datetime | None = None) -> dict[str, Any]:
    return {}


def anything(*args: Any, **kwargs: Any) -> Any:  # type: ignore[no-untyped-def]
    return args, kwargs


def with_context(ctx: JobContext, path: str) -> int:
    return 0


def typed_rest(first: int, *items: Item, **prices: Decimal) -> None: ...


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        ((), {}, "missing a required argument: 'order'"),
        (("o",), {}, "missing a required argument: 'cents'"),
        (("o", 1, "", 4), {}, "too many positional"),
        (("o", 1), {"colour": "red"}, "unexpected keyword argument 'colour'"),
        (("o", 1), {"order": "p"}, "multiple values for argument 'order'"),
        (("o", "1"), {}, "argument 'cents': Expected `int`, got `str`"),
        (("o", 1.5), {}, "argument 'cents'"),
        (("o", True), {}, "argument 'cents'"),
        ((1, 1), {}, "argument 'order': Expected `str`, got `int`"),
        (("o", 1), {"at": "yesterday"}, "argument 'at'"),
        (("o", None), {}, "argument 'cents'"),
    ],
)
def test_a_wrong_call_is_refused_and_the_signature_shown(args: Any, kwargs: Any, said: str) -> None:
    with pytest.raises(InvalidArguments, match=said) as refused:
        signature(buy).encode(args, kwargs)
    assert "shop.buy(order: " in str(refused.value)
    assert "cents" in str(refused.value)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (("o", 1, "n"), {}),
        (("o", 1), {"note": "n"}),
        (("o",), {"note": "n", "cents": 1}),
        ((), {"note": "n", "cents": 1, "order": "o"}),
    ],
)
def test_the_digest_is_the_same_however_the_arguments_are_passed(args: Any, kwargs: Any) -> None:
    assert signature(buy).encode(args, kwargs).digest == signature(buy).encode(("o", 1, "n"), {}).digest


@pytest.mark.parametrize("args", [("o", 2, "n"), ("p", 1, "n"), ("o", 1, "m")])
def test_the_digest_differs_for_other_arguments(args: Any) -> None:
    assert signature(buy).encode(args, {}).digest != signature(buy).encode(("o", 1, "n"), {}).digest


def test_the_digest_does_not_depend_on_the_order_of_keyword_arguments_or_keys() -> None:
    one = signature(anything).encode((), {"a": {"x": 1, "y": 2}, "b": {3, 1, 2}})
    two = signature(anything).encode((), {"b": {2, 3, 1}, "a": {"y": 2, "x": 1}})
    assert one.digest == two.digest


def test_the_worker_gets_what_was_checked() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    payload = signature(buy).encode(("o", 1), {"at": at})
    assert signature(buy).decode(payload.args, payload.kwargs) == (["o", 1], {"at": at})


def test_the_context_is_no_argument() -> None:
    assert signature(with_context).takes_context
    assert str(signature(with_context)) == "shop.buy(path: 'str') -> 'int'" or "ctx" not in str(signature(with_context))
    payload = signature(with_context).encode(("p",), {})
    assert signature(with_context).decode(payload.args, payload.kwargs) == (["p"], {})
    with pytest.raises(InvalidArguments, match=r"multiple|unexpected"):
        signature(with_context).encode(("p",), {"ctx": "mine"})
    assert not signature(buy).takes_context


def test_a_context_that_is_not_the_first_parameter_is_refused() -> None:
    def late(path: str, ctx: JobContext) -> None: ...

    with pytest.raises(InvalidJobDefinition, match=r"'ctx'.*first"):
        signature(late)


def test_rest_parameters_take_anything() -> None:
    payload = signature(anything).encode((1, "a", None), {"b": [1]})
    assert signature(anything).decode(payload.args, payload.kwargs) == ([1, "a", None], {"b": [1]})


def test_typed_rest_parameters_are_checked_and_converted() -> None:
    payload = signature(typed_rest).encode((1, Item("a", 1), Item("b", 2)), {"gross": Decimal("1.10")})
    assert signature(typed_rest).decode(payload.args, payload.kwargs) == (
        [1, Item("a", 1), Item("b", 2)],
        {"gross": Decimal("1.10")},
    )
    with pytest.raises(InvalidArguments, match="'items'"):
        signature(typed_rest).encode((1, Item("a", "many")), {})  # type: ignore[arg-type]
    with pytest.raises(InvalidArguments, match="'prices'"):
        signature(typed_rest).encode((1,), {"gross": "cheap"})


def test_an_untyped_parameter_refuses_what_would_come_back_as_something_else() -> None:
    with pytest.raises(Unserialisable, match=r"shop.buy\(args\)\[1\]: a Item would come back as plain JSON"):
        signature(anything).encode((1, Item("a", 1)), {})


def test_a_dict_of_anything_refuses_what_would_come_back_as_something_else() -> None:
    def store(document: dict[str, Any], rows: list[Any], more: dict) -> None: ...  # type: ignore[type-arg]

    signature(store).encode(({"a": [1, {"b": Decimal(2)}]}, [], {}), {})
    item: Any = Item("a", 1)
    calls: list[tuple[Any, ...]] = [({"a": item}, [], {}), ({}, [item], {}), ({}, [], {"a": item})]
    for call in calls:
        with pytest.raises(Unserialisable, match="a Item would come back as plain JSON"):
            signature(store).encode(call, {})


@pytest.mark.parametrize(
    "value", [float("nan"), 2**70, object(), "\ud800", {1: 2}], ids=["nan", "2**70", "object", "surrogate", "int key"]
)
def test_a_value_without_a_json_form_is_refused_by_the_name_of_its_parameter(value: Any) -> None:
    def store(document: Any) -> None: ...  # type: ignore[no-untyped-def]

    with pytest.raises(Unserialisable, match=r"shop.buy.*(document|argument 1|UTF-8)"):
        signature(store).encode((value,), {})


@pytest.mark.parametrize(
    "annotation", [Callable[[], int], pathlib.Path, list[pathlib.Path], threading.Lock, type], ids=repr
)
def test_an_annotation_that_json_cannot_carry_is_refused_at_the_definition(annotation: Any) -> None:
    def store(document: Any) -> None: ...

    store.__annotations__["document"] = annotation
    with pytest.raises(InvalidJobDefinition, match="parameter 'document'"):
        signature(store)


def test_an_annotation_that_cannot_be_resolved_is_refused_at_the_definition() -> None:
    def store(document: NoSuchType) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(InvalidJobDefinition, match="NoSuchType"):
        signature(store)


def test_abstract_annotations_are_fine() -> None:
    def store(rows: Sequence[int], any_: object) -> None: ...

    payload = signature(store).encode(([1, 2], "a"), {})
    assert signature(store).decode(payload.args, payload.kwargs) == ([[1, 2], "a"], {})


def test_a_return_annotation_that_json_cannot_carry_does_not_matter() -> None:
    def store() -> Callable[[], int]: ...  # type: ignore[empty-body]

    assert signature(store).returns is Any


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [('["o", "many"]', "{}"), ('["o"]', "{}"), ("not json", "{}"), ('["o", {"$": "nonsense", "v": 1}]', "{}"), ("[", "{}")],
)
def test_stored_arguments_that_do_not_fit_this_release_are_refused(args: str, kwargs: str) -> None:
    with pytest.raises(InvalidArguments, match=r"shop.buy"):
        signature(buy).decode(args, kwargs)


def test_positional_only_and_keyword_only_parameters() -> None:
    def mixed(a: int, /, b: int = 2, *, c: int = 3) -> None: ...

    payload = signature(mixed).encode((1,), {"c": 5})
    assert signature(mixed).decode(payload.args, payload.kwargs) == ([1], {"c": 5})
    with pytest.raises(InvalidArguments):
        signature(mixed).encode((), {"a": 1})
