"""What is shown of a call: no secrets, whichever way they were passed."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from perdure import JobContext, Perdure, Secret
from perdure.masking import MASK, is_secret_name, mask, mask_call, mask_call_json, mask_json


@pytest.fixture
def app(tmp_path, monkeypatch) -> Perdure:
    monkeypatch.chdir(tmp_path)
    return Perdure()


@pytest.mark.parametrize("name", ["password", "DB_PASSWORD", "apiKey", "api-key", "X-Auth-Token", "client_secret", "pwd"])
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["user", "key", "passenger", "order_id"])
def test_names_of_no_secrets(name: str) -> None:
    assert not is_secret_name(name)


def test_secrets_in_nested_values_are_masked_and_flags_are_not() -> None:
    value = {"a": [{"password": "x", "n": 1}], "token": {"deep": 1}, "has_token": True, "secret": None}
    assert mask(value) == {"a": [{"password": MASK, "n": 1}], "token": MASK, "has_token": True, "secret": None}


def test_positional_and_keyword_arguments_are_masked_by_their_parameter(app: Perdure) -> None:
    @app.job(name="pay")
    def pay(
        ctx: JobContext, card: Annotated[str, Secret], pin: Annotated[int, Secret] | None, password: str, n: int
    ) -> None: ...

    assert mask_call(pay, ["4111", 12, "pw", 5], {}) == ([MASK, MASK, MASK, 5], {})
    assert mask_call(pay, [], {"card": "4111", "pin": None, "n": 5}) == ([], {"card": MASK, "pin": None, "n": 5})


def test_variadic_arguments_are_masked_by_their_names(app: Perdure) -> None:
    @app.job(name="many")
    def many(first: str, *tokens: str, **rest: Any) -> None: ...

    assert mask_call(many, ["a", "t1", "t2"], {"api_key": "k", "n": 1}) == (["a", MASK, MASK], {"api_key": MASK, "n": 1})


def test_of_a_task_that_is_not_known_no_positional_text_is_shown() -> None:
    assert mask_call(None, ["maybe a password", 5, {"token": "t"}], {"a": "b"}) == ([MASK, 5, {"token": MASK}], {"a": "b"})


def test_texts_without_secrets_are_returned_as_they_are(app: Perdure) -> None:
    @app.job(name="add")
    def add(a: int, b: int) -> int:
        return a + b

    text = "[1,  2]"
    assert mask_call_json(add, text, "{}")[0] is text
    assert mask_json(text) is text
