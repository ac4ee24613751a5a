"""Injected faults: what can be, where each acts, and which calls one strikes. Pure."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.errors import InjectedFault, InvalidFault
from perdure.model.faults.fault import ACTS, LONGEST, Fault, Kind, fault_of
from perdure.model.faults.places import Point

NEEDED: dict[Kind, dict[str, Any]] = {
    Kind.LATENCY: {"delay": 0.1},
    Kind.SLOW_CHECKPOINT: {"delay": 0.1},
    Kind.EXCEPTION: {"exception": "TimeoutError"},
    Kind.WRONG_RESULT: {"result": 7},
}


def fault(kind: str = "error", target: str = "service:mail", **options: Any) -> Fault:
    return fault_of(kind, target, **{"id": "f-1", "owner": "ann", "now": 1000.0, "seed": 1, **options})


@pytest.mark.parametrize(
    ("of", "point", "kind"),
    [(of, point, kind) for of, points in ACTS.items() for point in points for kind in sorted(points[point])],
)
def test_each_kind_acts_where_the_table_says(of: str, point: Point, kind: Kind) -> None:
    what, _, name = of.partition(":")
    made = fault(kind, f"{what}:{name or 'x'}", at=point, **NEEDED.get(kind, {}))
    assert made.is_at(point, {what: name or "x", "other": "y"})
    assert not made.is_at(point, {what: "another"})
    assert not any(made.is_at(other, {what: name or "x"}) for other in Point if other is not point)


def test_without_a_point_code_fails_where_it_runs_and_a_store_everywhere() -> None:
    assert fault("latency", "task:shop.buy", delay=1).at == (Point.RUN,)
    assert fault("failing_checkpoint", "bulkhead:normal").at == (Point.SAVE,)
    assert fault("broken_store", "store:ledger").at == (Point.CLAIM, Point.SETTLE, Point.STATEMENT)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"kind": "latncy"}, "Did you mean 'latency'?"),
        ({"target": "mail"}, "Write service:NAME, task:NAME"),
        ({"target": "store:ledgr"}, "Did you mean 'store:ledger'?"),
        ({"target": "service:"}, "target 'service:' is none"),
        ({"kind": "wrong_result", "target": "duty:tick"}, "acts on service, task or bulkhead"),
        ({"kind": "broken_store", "target": "bulkhead:normal"}, "claim, settle, ring, save or load"),
        ({"target": "task:t", "at": "claim"}, "it does at run or step"),
        ({"seconds": LONGEST + 1}, "at most 3600 seconds"),
        ({"seconds": 0}, "more than 0"),
        ({"seconds": float("nan")}, "more than 0"),
        ({"probability": 1.5}, "at most 1"),
        ({"probability": 0}, "above 0"),
        ({"owner": ""}, "owner"),
        ({"kind": "latency"}, "latency needs a delay"),
        ({"delay": 1}, "error has no delay"),
        ({"kind": "exception"}, "needs the exception's name"),
        ({"kind": "exception", "exception": "TimeoutEror"}, "Did you mean 'TimeoutError'?"),
        ({"kind": "exception", "exception": "os.system"}, "'os.system' is none"),
        ({"exception": "TimeoutError"}, "exception does"),
        ({"result": 7}, "wrong_result does"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidFault) as refused:
        fault(**wrong)
    assert says in str(refused.value)


def test_a_seed_strikes_the_same_calls_again_and_about_as_many_as_the_probability_says() -> None:
    struck = [fault(probability=0.3, seed=7).strikes(number) for number in range(2000)]
    assert struck == [fault(probability=0.3, seed=7).strikes(number) for number in range(2000)]
    assert struck != [fault(probability=0.3, seed=8).strikes(number) for number in range(2000)]
    assert 500 < sum(struck) < 700
    assert all(fault().strikes(number) for number in range(100))


def test_it_raises_what_is_wanted_and_names_itself_and_its_owner() -> None:
    assert str(fault().error()) == "injected fault f-1 (error on service:mail, by ann)"
    assert type(fault().error()) is InjectedFault
    assert type(fault("exception", exception="TimeoutError").error()) is TimeoutError


@pytest.mark.parametrize("name", ["not.loaded.Error", "UnicodeDecodeError"])
def test_an_exception_that_cannot_be_made_here_is_said_to_be_so(name: str) -> None:
    error = fault("exception", exception=name).error()
    assert type(error) is InjectedFault
    assert name in str(error)
