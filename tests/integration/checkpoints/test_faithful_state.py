"""What a job saves and what its steps and its last transaction return comes back as it was, or is refused at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, Field

from perdure import JobContext, Perdure
from perdure.errors import Unserialisable
from perdure.model.checkpoint_schema import TypeNotGiven
from support.ledgers import running

Attempts = Callable[..., JobContext]


@dataclass
class Place:
    row: int = 0


@dataclass
class Further(Place):
    column: int = 0


class Order(BaseModel):
    number: int = Field(alias="orderNumber")
    note: str = Field(default="", exclude=True)


MOMENT = datetime(2026, 7, 1, 3, tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    "state",
    [Place(3), Order(orderNumber=3, note="x"), (1, (2, 3)), {"at": MOMENT, "seen": frozenset({1})}, [1.5, b"\x00"]],
    ids=repr,
)
def test_a_state_comes_back_as_it_was(attempt: Attempts, state: Any) -> None:
    first = attempt()
    assert first.checkpoint.load() is None
    first.checkpoint.save(state)
    hint = type(state) if isinstance(state, (Place, Order)) else Any
    again = attempt(first).checkpoint.load(type=hint)
    assert (again, type(again)) == (state, type(state))


def test_an_object_is_not_loaded_as_plain_json_without_a_word(attempt: Attempts) -> None:
    first = attempt()
    first.checkpoint.save(Place(3))
    with pytest.raises(TypeNotGiven, match=r"was saved as Place .* load\(type=Place\)"):
        attempt(first).checkpoint.load()


@pytest.mark.parametrize(
    ("state", "hint"),
    [
        ([Place(3)], Any),
        ({"place": Place(3)}, Any),
        (Further(3), Place),
        ([Further(3)], list[Place]),
        ({"row": 3}, Place),
        ({1: "a"}, Any),
        ((1,), list[int]),
    ],
)
def test_a_state_that_would_come_back_changed_is_refused(attempt: Attempts, state: Any, hint: Any) -> None:
    ctx = attempt()
    ctx.checkpoint.load(type=hint)
    with pytest.raises(Unserialisable, match="checkpoint 'main' of job"):
        ctx.checkpoint.save(state)
    assert ctx.checkpoint.seq == 0


def test_a_state_within_others_is_saved_as_the_type_it_was_loaded_as(attempt: Attempts) -> None:
    first = attempt()
    assert first.checkpoint.load(default=[], type=list[Place]) == []
    first.checkpoint.save([Place(3)])
    second = attempt(first)
    with pytest.raises(TypeNotGiven):
        second.checkpoint.load()
    assert second.checkpoint.load(type=list[Place]) == [Place(3)]


def place() -> Place:
    return Further(3)


def order() -> Order:
    return Order(orderNumber=3, note="x")


def pair() -> tuple[int, Place]:
    return 1, Place(2)


def promised_otherwise() -> int:
    return "three"  # type: ignore[return-value]


def unannotated() -> Any:  # type: ignore[no-untyped-def]
    return {1: Place(2)}


@pytest.mark.parametrize("function", [order, pair, promised_otherwise])
def test_a_step_s_result_comes_back_as_it_was(attempt: Attempts, function: Callable[[], Any]) -> None:
    first = attempt()
    results = [first.step("it", function), attempt(first).step("it", function)]
    assert results == [function()] * 2
    assert {type(result) for result in results} == {type(function())}


@pytest.mark.parametrize("function", [place, unannotated])
def test_a_step_s_result_that_would_come_back_changed_is_refused(attempt: Attempts, function: Callable[[], Any]) -> None:
    with pytest.raises(Unserialisable, match="the result of step 'it'"):
        attempt().step("it", function)


def test_the_result_of_a_final_transaction_is_looked_at_as_well(app: Perdure) -> None:
    ctx = JobContext(running(app.ledger), app.ledger, storage=app.storage, returns=Place)
    with pytest.raises(Unserialisable, match="the result of"), ctx.transaction(final=True):
        ctx.set_result(Further(3))
    assert app.jobs.get(ctx.job_id).state == "running"
    with ctx.transaction(final=True):
        ctx.set_result(Place(3))
    assert app.jobs.get(ctx.job_id).state == "succeeded"
