"""What gets in: bells made anew, whoever sent them; anything else is bytes that nobody decodes."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.bells import BELL
from perdure.queues import EMPTY_CALL
from perdure_workers.gate import MAX_CONTROL, MAX_KEPT, REFUSED, Refused, _loads, admit

QUEUE = "perdure.normal"


def message(task: Any = BELL, **changes: Any) -> dict[str, Any]:
    plain = {
        "body": EMPTY_CALL,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": task, "id": "x"},
        "properties": {"body_encoding": "base64", "delivery_tag": "t", "delivery_info": {}},
    }
    return plain | changes


def admitted(sent: Any) -> tuple[str, str]:
    got = admit(sent, QUEUE)
    assert got is not None
    assert set(got) == {"body", "content-type", "content-encoding", "headers", "properties"}
    return got["headers"]["task"], got["body"]


def refused(sent: Any) -> Refused:
    task, body = admitted(sent)
    assert task == REFUSED
    return msgspec.json.decode(base64.b64decode(body), type=Refused)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"body": base64.b64encode(b'[["rm -rf"], {"a": 1}, {"chain": ["x"]}]').decode()},
        {"body": "not even base64"},
        {"headers": {"task": BELL, "id": {"a": 1}, "eta": "tomorrow", "expires": [], "argsrepr": 5}},
    ],
)
def test_a_forged_bell_is_a_bell_and_nothing_of_it_gets_in(changes: dict[str, Any]) -> None:
    assert admitted(message(**changes)) == (BELL, EMPTY_CALL)


@pytest.mark.parametrize(
    "changes",
    [
        {"content-type": "application/x-python-serialize"},
        {"content-encoding": "binary"},
        {"headers": {"task": BELL, "compression": "application/x-gzip"}},
        {"headers": None},
        {"headers": "task"},
        {"properties": {"body_encoding": "base64"}},
        {"properties": None},
        {"body": None},
        {"body": "x" * (MAX_CONTROL + 1)},
        {"headers": {"task": "shop.charge", "id": "j"}},
        {"headers": {"task": [BELL]}},
    ],
)
def test_what_is_no_plain_bell_is_kept_as_bytes(changes: dict[str, Any]) -> None:
    assert len(refused(message(**changes)).content) <= MAX_KEPT


def test_a_message_that_names_a_task_says_so() -> None:
    found = refused(message("shop.charge", body=base64.b64encode(b"[[1], {}, {}]").decode()))
    assert (found.task, found.job_id, found.content, found.length) == ("shop.charge", "x", b"[[1], {}, {}]", 13)
    assert "no bell" in found.flaw


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "nope", '{"__type__": "datetime", "__value__": 5}', "\ud800"])
def test_an_entry_that_cannot_be_read_is_kept(text: str) -> None:
    assert refused(_loads(text)).length > 0


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
)
PARTS = st.dictionaries(
    st.sampled_from(["body", "content-type", "content-encoding", "headers", "properties"]),
    ANYTHING | st.dictionaries(st.sampled_from(["task", "id", "delivery_tag", "delivery_info", "body_encoding"]), ANYTHING),
)


@given(ANYTHING | PARTS.map(lambda parts: message() | parts))
def test_whatever_is_in_a_queue_ends_nobody(sent: Any) -> None:
    task, _ = admitted(sent)
    assert task in (BELL, REFUSED)
    assert admit(sent, "celery.pidbox") is None or isinstance(sent, dict)


@given(st.text())
def test_whatever_text_is_read_ends_nobody(text: str) -> None:
    assert admitted(_loads(text))[0] in (BELL, REFUSED)
    assert admitted(_loads(json.dumps(text)))[0] == REFUSED
