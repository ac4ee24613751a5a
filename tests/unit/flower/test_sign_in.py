"""Whose password it is, whatever the bytes; and who guesses has to wait."""

from __future__ import annotations

import logging
from base64 import b64encode

import pytest

from perdure_workers.flower.sign_in import MOST_ADDRESSES, MOST_FAILURES, WINDOW, SignIn


def basic(text: str | bytes) -> str:
    return "Basic " + b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def test_the_right_password_signs_in_also_one_that_is_not_ascii() -> None:
    sign_in = SignIn(["ann:secret", "jürgen:grüße, alle"])
    assert sign_in.user(basic("ann:secret")) == "ann"
    assert sign_in.user(basic("jürgen:grüße, alle")) == "jürgen"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic \xff\xfe",
        "Basic " + "A" * 5,
        basic(b"\xff\xfe:\x00"),
        basic("ann:sécret"),
        basic("ann"),
        basic("ann:secret2"),
        basic(":secret"),
        basic("ann:secret").replace("Basic", "Bearer"),
        basic("ann:secret") + " more",
    ],
)
def test_everything_else_signs_nobody_in(header: str | None) -> None:
    assert SignIn(["ann:secret"]).user(header) is None


def test_who_guesses_waits_and_others_do_not() -> None:
    now = 0.0
    sign_in = SignIn(["ann:secret"], clock=lambda: now)
    for _ in range(MOST_FAILURES):
        assert sign_in.wait("10.0.0.1") == 0
        sign_in.failed("10.0.0.1", basic("ann:guess"))
    assert sign_in.wait("10.0.0.1") == WINDOW
    assert sign_in.wait("10.0.0.2") == 0
    now = WINDOW + 1
    assert sign_in.wait("10.0.0.1") == 0


def test_addresses_do_not_pile_up() -> None:
    sign_in = SignIn(["ann:secret"])
    for number in range(MOST_ADDRESSES + 10):
        sign_in.failed(str(number), "Basic x")
    assert len(sign_in._failures) == MOST_ADDRESSES


def test_failures_are_logged_without_the_password(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "perdure.flower"):
        SignIn(["ann:secret"]).failed("10.0.0.1", basic("ann\n:hunter-2"))
        SignIn(["ann:secret"]).failed("10.0.0.1", "Basic !")
    assert "sign-in of 'ann\\n' from 10.0.0.1 failed" in caplog.text
    assert "hunter-2" not in caplog.text
