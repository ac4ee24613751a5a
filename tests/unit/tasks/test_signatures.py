"""Webhook signatures against the standard's own vector, and what a receiver must refuse."""

from __future__ import annotations

from typing import Any

import pytest

from perdure_tasks.errors import SignatureInvalid
from perdure_tasks.signatures import sign, verify

# The vector of the reference libraries (standard-webhooks/libraries/python/tests).
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
ID, NOW, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'


def signed(secrets: Any = SECRET) -> Any:
    return sign(secrets, ID, NOW, BODY)


def test_reference_vector() -> None:
    assert signed()["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_secret_without_its_prefix_is_the_same_secret() -> None:
    assert sign(SECRET.removeprefix("whsec_"), ID, NOW, BODY) == signed()


def test_authentic_webhook_gives_its_id_whatever_the_case_of_its_headers() -> None:
    headers = {name.title(): value for name, value in signed().items()}
    assert verify(SECRET, headers, BODY, now=NOW + 299) == ID


@pytest.mark.parametrize(("sender", "receiver"), [([OTHER, SECRET], SECRET), (SECRET, [OTHER, SECRET])])
def test_rotation_of_secrets(sender: Any, receiver: Any) -> None:
    assert verify(receiver, signed(sender), BODY, now=NOW) == ID


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"webhook-id": "msg_other"}, "no signature fits"),
        ({"webhook-timestamp": str(NOW + 1)}, "no signature fits"),
        ({"webhook-signature": "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}, "no signature fits"),
        ({"webhook-signature": "v1,ü"}, "no signature fits"),
        ({"webhook-signature": ""}, "no webhook-signature header"),
        ({"webhook-timestamp": "yesterday"}, "not a number"),
        ({"webhook-timestamp": "²"}, "not a number"),
        ({"webhook-timestamp": str(NOW - 301)}, "301 s away"),
        ({"webhook-timestamp": str(NOW + 301)}, "-301 s away"),
    ],
)
def test_tampered_webhook_is_refused(change: Any, message: str) -> None:
    with pytest.raises(SignatureInvalid, match=message):
        verify(SECRET, {**signed(), **change}, BODY, now=NOW)


def test_changed_body_and_foreign_secret_are_refused() -> None:
    with pytest.raises(SignatureInvalid):
        verify(SECRET, signed(), BODY + b" ", now=NOW)
    with pytest.raises(SignatureInvalid):
        verify(OTHER, signed(), BODY, now=NOW)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "not base64!", "whsec_" + "A" * 88])
def test_malformed_secret_is_refused_and_not_shown(secret: Any) -> None:
    with pytest.raises(ValueError, match="24 to 64 bytes") as refused:
        sign(secret, ID, NOW, BODY)
    assert not secret.removeprefix("whsec_") or secret.removeprefix("whsec_") not in str(refused.value)


def test_id_with_a_separator_is_refused() -> None:
    with pytest.raises(ValueError, match=r"contains a '\.'"):
        sign(SECRET, "a.b", NOW, BODY)
