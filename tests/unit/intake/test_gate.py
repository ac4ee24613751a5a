"""The gate: whatever lies in Redis, what gets into a worker is a message that kombu can build and that does no harm."""

from __future__ import annotations

import base64
import json
import string
from datetime import date, datetime, time
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu import Connection

from perdure.broker.queues import BELL, EMPTY_CALL
from perdure_workers.intake import gate
from perdure_workers.intake.gate import LATEST_CLOCK, MAX_CONTROL, MAX_KEPT, REFUSED, NotJson, Refused, admit, described

#: As JSON may be, lone surrogates, huge integers and infinities included.
texts = st.text(st.characters(codec=None) | st.sampled_from(string.printable + "\ud800\udfff"), max_size=20)
numbers = st.integers() | st.floats() | st.integers(-1, 2**70)
#: What kombu makes of tagged values, without an error or with one.
tags = st.sampled_from(["bytes", "base64", "datetime", "date", "time", "decimal", "uuid", "nonsense"])
revived = st.sampled_from([b"\xff", datetime(2026, 1, 1), date(2026, 1, 1), time(1), UUID(int=1)]) | st.decimals()
leaves = st.none() | st.booleans() | numbers | texts
words = st.sampled_from(["task", "id", "headers", "compression", "clock", "utf-8", "base64", BELL, "application/json"])


def nested(leaf: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def inside(child: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        tagged = st.fixed_dictionaries({"__type__": tags | child, "__value__": child})
        return st.lists(child, max_size=4) | st.dictionaries(words | texts, child, max_size=4) | tagged

    return st.recursive(leaf | words, inside, max_leaves=8)


json_values = nested(leaves)
read_values = nested(leaves | revived)


def message(task: Any = BELL, body: str = EMPTY_CALL, **headers: Any) -> dict[str, Any]:
    return {
        "body": body,
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": task, "id": "m-1", **headers},
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": "t-1",
            "delivery_info": {"exchange": "", "routing_key": "perdure.normal"},
            "correlation_id": "m-1",
        },
    }


@st.composite
def nearly_messages(draw: st.DrawFn, values: st.SearchStrategy[Any] = read_values) -> Any:
    """Messages in which a few places hold anything, or nothing."""
    made = message(draw(st.sampled_from([BELL, "orders.import", None])))
    places = [(made, name) for name in made] + [
        (made[part], name) for part in ("headers", "properties") for name in (*made[part], "compression", "clock")
    ]
    for holder, name in draw(st.lists(st.sampled_from(places), max_size=3)):
        if draw(st.booleans()):
            holder[name] = draw(values)
        else:
            holder.pop(name, None)
    return made


anything = read_values | nearly_messages() | texts.map(NotJson)


def built(admitted: Any) -> Any:
    """Build kombu's message, as its transport does: what raises here ends a worker."""
    with Connection("memory://") as connection, connection.channel() as channel:
        of_redis: Any = channel
        made = of_redis.Message(admitted, channel=channel)
        assert isinstance(made.delivery_tag, str)
        assert {"exchange", "routing_key"} <= made.delivery_info.keys()
        assert made.content_type == "application/json"
        assert made.content_encoding == "utf-8"
        assert "compression" not in made.headers
        return made


@given(anything)
def test_of_the_bells_queue_a_bell_or_what_was_refused_gets_in(read: Any) -> None:
    admitted = admit(read, of_bells=True)
    made = built(admitted)
    assert made.headers["task"] in (BELL, REFUSED)
    assert made.delivery_tag != "t-1"
    if made.headers["task"] == BELL:
        assert made.decode() == [[], {}, {}]
    else:
        refused = msgspec.json.decode(made.body, type=Refused)
        assert refused == described(read)
        assert len(made.body) < 8 * MAX_KEPT


@given(anything)
def test_remote_control_gets_in_made_anew_or_not_at_all(read: Any) -> None:
    admitted = admit(read, of_bells=False)
    if admitted is None:
        return
    made = built(admitted)
    assert made.headers.keys() == {"id", "clock"}
    assert type(made.headers["clock"]) is int
    assert 0 <= made.headers["clock"] <= LATEST_CLOCK
    assert len(admitted["body"]) <= MAX_CONTROL
    assert admitted["body"] == read["body"]
    json.dumps(admitted["properties"])


@given(st.one_of(json_values, nearly_messages(json_values)))
def test_whatever_json_is_read_it_is_a_value_or_said_to_be_none(value: Any) -> None:
    read = gate._loads(json.dumps(value))
    for of_bells in (True, False):
        admit(read, of_bells=of_bells)


@given(anything)
def test_anything_can_be_described(read: Any) -> None:
    refused = described(read)
    assert msgspec.json.decode(msgspec.json.encode(refused), type=Refused) == refused
    assert len(refused.content) <= MAX_KEPT
    assert refused.length >= len(refused.content)


def test_a_number_that_python_does_not_print_is_described() -> None:
    assert described({"number": 10**5000}).content == b"<dict: ValueError>"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("decimal", "x"),
        ("uuid", {"hex": "x"}),
        ("uuid", 3),
        ("datetime", "x"),
        ("base64", "x"),
        ("bytes", 1),
        ([], 1),
        ("?", 1),
    ],
)
def test_a_tagged_value_that_cannot_be_revived_is_no_json(kind: Any, value: Any) -> None:
    text = json.dumps({"headers": {"__type__": kind, "__value__": value}})
    assert gate._loads(text) == NotJson(text)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\x00", "1" * 5000, '{"a": ' * 50_000])
def test_a_text_that_is_no_json_is_kept_as_it_is(text: str) -> None:
    assert gate._loads(text) == NotJson(text)
    assert described(gate._loads(text)).flaw == "it is not JSON"


FOREIGN: dict[str, dict[str, Any]] = {
    "compressed": message(compression="application/x-gzip"),
    "compressed in an odd way": message(compression=["zlib"]),
    "another content type": message() | {"content-type": "application/x-python-serialize"},
    "a content type of another type": message() | {"content-type": ["application/json"]},
    "another encoding": message() | {"content-encoding": "binary"},
    "an encoding of another type": message() | {"content-encoding": 7},
    "another body encoding": message() | {"properties": message()["properties"] | {"body_encoding": "rot13"}},
    "a body that is not base64": message(body="a"),
    "a body of other letters": message(body="\u00e4\u00f6\u00fc="),
    "too long": message(body="QUFB" * (MAX_CONTROL // 4 + 1)),
    "a body of another type": message() | {"body": {"a": 1}},
    "no tag": message() | {"properties": {"delivery_info": {}}},
    "headers of another type": message() | {"headers": ["task"]},
    "properties of another type": message() | {"properties": None},
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_not_plain_json_gets_in_nowhere(kind: str) -> None:
    assert admit(FOREIGN[kind], of_bells=False) is None
    admitted = admit(FOREIGN[kind], of_bells=True)
    assert admitted is not None
    assert admitted["headers"]["task"] == REFUSED


def test_a_bell_is_made_anew() -> None:
    forged = message(
        body=base64.b64encode(b'[["x"], {}, {"chain": [1]}]').decode(), expires=[1], timelimit=["x", 2], eta="x"
    )
    first, second = admit(forged, of_bells=True), admit(forged, of_bells=True)
    assert first is not None
    assert second is not None
    assert first["headers"].keys() == {"task", "id"}
    assert first["body"] == EMPTY_CALL
    assert first["properties"]["delivery_tag"] != second["properties"]["delivery_tag"]


def test_remote_control_of_celery_gets_in() -> None:
    called: dict[str, Any] = {"method": "ping", "arguments": {}, "destination": None}
    body = base64.b64encode(json.dumps(called).encode()).decode()
    admitted = admit(message(None, body, clock=42), of_bells=False)
    made = built(admitted)
    assert made.decode() == called
    assert made.headers["clock"] == 42


@pytest.mark.parametrize("clock", [-1, 2**60, 1.5, float("inf"), float("nan"), "7", True, None, [7]])
def test_a_clock_that_makes_no_sense_is_not_taken_over(clock: Any) -> None:
    admitted = admit(message(clock=clock), of_bells=False)
    assert admitted is not None
    assert admitted["headers"]["clock"] == 0
