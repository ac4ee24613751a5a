"""What is shown of a call: no secrets, whichever way they were passed."""

from __future__ import annotations

import base64
import json
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from perdure import JobContext, Perdure, Secret
from perdure.model.masking import MASK, NOTHING, Masker, mask, mask_call, mask_call_json, masker
from perdure.model.secrets import is_secret_name


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Perdure:
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


def test_of_a_task_that_is_not_known_no_text_and_no_long_number_is_shown() -> None:
    args, kwargs = mask_call(None, ["maybe a password", 5, {"token": "t", "n": [7, "x"]}], {"card": "b", "pin": 4711})
    assert args == [MASK, 5, {"token": MASK, "n": [7, MASK]}]
    assert kwargs == {"card": MASK, "pin": MASK}


def test_texts_without_secrets_are_returned_as_they_are(app: Perdure) -> None:
    @app.job(name="add")
    def add(a: int, b: int) -> int:
        return a + b

    text = "[1,  2]"
    assert mask_call_json(add, text, "{}")[0] is text
    assert NOTHING.json(text) is text


CARD = "4111-1111/1111\n1111 ü"


@pytest.mark.parametrize(
    "written",
    [
        CARD,
        repr(CARD),
        repr(CARD.encode()),
        json.dumps(CARD),
        json.dumps(CARD, ensure_ascii=False),
        msgspec.json.encode(CARD).decode(),
        f"https://example.org/?card={urllib.parse.quote(CARD)}",
        f"https://example.org/?card={urllib.parse.quote(CARD, safe='')}",
        urllib.parse.urlencode({"card": CARD}),
        repr(ValueError(f"card {CARD!r} refused")),
        base64.b64encode(CARD.encode()).decode(),
    ],
)
def test_a_value_is_taken_out_however_it_is_written(written: str) -> None:
    shown = Masker([CARD]).text(f"refused: {written}, {written}.")
    assert "1111" not in shown
    assert base64.b64encode(CARD.encode()).decode()[:8] not in shown
    assert shown.startswith("refused: ")
    assert shown.endswith(".")
    assert shown.count(MASK) >= 2


@given(st.text(min_size=4), st.text(), st.text())
@example("aaaa", "aa", "aa")
@example("****", "", "")
def test_no_text_holds_a_value(secret: str, before: str, after: str) -> None:
    shown = Masker([secret]).text(f"{before}{secret}{after}")
    assert secret == MASK * 2 or secret not in shown or secret in MASK * 3


@given(st.binary(min_size=12, max_size=40), st.binary(max_size=5), st.binary(max_size=5))
def test_base64_of_more_than_the_value(secret: bytes, before: bytes, after: bytes) -> None:
    text = base64.b64encode(before + secret + after).decode()
    value = secret.decode("latin-1")
    shown = Masker([{"$": "bytes", "v": secret.hex()}, value]).text(text) if value.isascii() else MASK
    assert MASK in shown


@pytest.mark.parametrize("length", [13, 30, 200])
def test_the_pieces_that_a_cut_leaves_are_taken_out(length: int) -> None:
    secret = "".join(chr(0x4E00 + n) for n in range(length))
    mask_of = Masker([secret])
    for cut in range(12, length):
        assert mask_of.text(f"got {secret[:cut]}...") == f"got {MASK}..."
        assert mask_of.text(f"got ...{secret[-cut:]}!") == f"got ...{MASK}!"


def test_values_that_are_too_short_stand_in_every_second_text_and_stay() -> None:
    assert not Masker(["abc", "", None, True, 12])
    assert Masker(["abc"]).text("abc") == "abc"
    assert Masker([1234]).text("pin 1234 refused") == f"pin {MASK} refused"


def test_parts_that_give_a_secret_away() -> None:
    key = "-----BEGIN KEY-----\nMIIEpAIBAAKC\nAQEA75nb\n-----END KEY-----"
    assert "AQEA75nb" not in Masker([key]).text("bad line 3: AQEA75nb")
    assert Masker(["postgresql://ann:pa%24%24word@db/x"]).text("password pa$$word of ann") == f"password {MASK} of ann"
    assert Masker(["Bearer abc.def"]).text("token abc.def expired") == f"token {MASK} expired"
    assert Masker([{"user": "anna", "pins": ["9876", 5432]}]).text("anna 9876 5432") == f"{MASK} {MASK} {MASK}"


def test_the_values_of_a_call(app: Perdure) -> None:
    @app.job(name="pay")
    def pay(card: Annotated[str, Secret], config: dict[str, Any], *, user: str = "ann") -> None: ...

    found = masker(pay, ["4111222"], {"config": {"db": {"password": "hunter2"}}, "user": "bert"})
    assert found.text("bert 4111222 hunter2") == f"bert {MASK} {MASK}"
    assert masker(pay, '["4111222",{}]', "{}").text("4111222") == MASK
    assert found.value({"echo": ["card 4111222"], "last": 4111222}) == {"echo": [f"card {MASK}"], "last": MASK}
    assert json.loads(found.json('{"echo": 4111222, "token": "t"}')) == {"echo": MASK, "token": MASK}
    shown = mask_call(pay, ["4111222", {"note": "card 4111222", "n": 1}], {})
    assert shown == ([MASK, {"note": MASK, "n": 1}], {}), "whole, so that an edited call can be put together again"


@dataclass
class Card:
    number: Annotated[str, Secret]
    name: str


class Model(BaseModel):
    number: Annotated[str, Secret] = Field(alias="no")
    cards: list[Card] = []


class Typed(TypedDict):
    number: Annotated[str, Secret] | None


class Struct(msgspec.Struct, rename="camel"):
    card_number: Annotated[str, Secret]


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (Card, {"number": "4111222", "name": "ann"}),
        (list[Card], [{"number": "4111222", "name": "ann"}]),
        (Model, {"no": "4111222", "name": "ann"}),
        (Model | None, {"cards": [{"number": "4111222", "name": "ann"}]}),
        (dict[str, Typed], {"a": {"number": "4111222", "name": "ann"}}),
        (Struct, {"cardNumber": "4111222", "name": "ann"}),
    ],
)
def test_fields_that_are_marked_within_a_parameter(app: Perdure, hint: Any, value: Any) -> None:
    def pay(card: Any, n: Any) -> None: ...

    pay.__annotations__ = {"card": hint, "n": int}
    task = app.job(name="pay")(pay)
    assert "4111222" not in str(mask_call(task, [value, 5], {}))
    assert "ann" in str(mask_call(task, [value, 5], {})) or "name" not in str(value)
    assert masker(task, [value, 5], {}).text("4111222 of ann") == f"{MASK} of ann"


def test_a_call_without_secrets_costs_nothing(app: Perdure) -> None:
    @app.job(name="add")
    def add(a: int, b: int) -> int:
        return a + b

    assert masker(add, "[1,2]", "{}") is NOTHING
    assert masker(None, "[1,2]", "{}") is NOTHING
    text = "some error"
    assert NOTHING.text(text) is text
    assert NOTHING.optional(None) is None


@pytest.mark.parametrize("odd", [{"$": "decimal", "v": "x"}, {"$": "nothing"}, {"$": None, "v": 1}, [[[{"$": 1}]]]])
def test_values_that_only_look_tagged(app: Perdure, odd: Any) -> None:
    @app.job(name="pay")
    def pay(card: Annotated[Any, Secret]) -> None: ...

    assert mask_call(pay, [odd], {}) == ([MASK], {})
    assert masker(pay, [odd], {}).text("fine") == "fine"
