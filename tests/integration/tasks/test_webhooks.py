"""``webhooks.deliver`` against a real HTTP receiver."""

from __future__ import annotations

import json
import threading
import time
from email.utils import formatdate
from typing import Any

import pytest

from perdure import Discard, RetryAfter
from perdure.system.ports import free_port
from perdure_tasks import public_hosts, webhooks
from perdure_tasks.errors import DeliveryFailed
from perdure_tasks.signatures import verify
from support.context import RecordingContext
from support.receiver import answer, receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(autouse=True)
def secret_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_WEBHOOK_SECRET_SHOP_EU", SECRET)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    # The receivers of this file stand for some on the internet; test_webhook_hosts.py has the others.
    monkeypatch.setattr(public_hosts, "is_public", lambda address: True)


def deliver(url: str, ctx: Any = None, **options: Any) -> Any:
    options = {"event": "invoice.paid", "secret": "shop-eu", "timeout": 5.0, **options}
    return webhooks.deliver((ctx or RecordingContext()).given, url, {"id": 7, "text": "grün"}, **options)


def test_delivered_event_is_authentic_and_says_what_happened() -> None:
    ctx = RecordingContext(key="invoice-7")
    with receiver(answer(202)) as endpoint:
        result = deliver(f"{endpoint.url}/hook?x=1", ctx, headers={"X-Tenant": "a"})
    (got,) = endpoint.received
    assert got.path == "/hook?x=1"
    assert verify(SECRET, got.headers, got.body) == "invoice-7" == result["webhook_id"]
    assert result["status"] == 202
    headers = {name.lower(): value for name, value in got.headers.items()}
    assert headers["idempotency-key"] == "invoice-7"
    assert headers["x-tenant"] == "a"
    event = json.loads(got.body)
    assert (event["type"], event["data"]) == ("invoice.paid", {"id": 7, "text": "grün"})


def test_every_attempt_carries_the_same_key_id_and_body() -> None:
    ctx = RecordingContext(key="Rechnung Nr. 7/ü")
    with receiver(answer(500), answer(200)) as endpoint:
        with pytest.raises(DeliveryFailed):
            deliver(endpoint.url, ctx)
        ctx.attempt = 2
        deliver(endpoint.url, ctx)
    first, second = endpoint.received
    assert first.body == second.body
    for header in ("idempotency-key", "webhook-id"):
        assert first.headers[header] == second.headers[header]
    assert first.headers["idempotency-key"] == "Rechnung%20Nr.%207/%C3%BC"
    assert "." not in first.headers["webhook-id"]


@pytest.mark.parametrize("status", [429, 503, 500])
def test_retry_after_in_seconds(status: int) -> None:
    with receiver(answer(status, b"busy", Retry_After="17")) as endpoint, pytest.raises(RetryAfter) as raised:
        deliver(endpoint.url)
    assert raised.value.seconds == 17
    assert f"{status}" in str(raised.value)
    assert "busy" in str(raised.value)


def test_retry_after_as_a_date() -> None:
    at = formatdate(time.time() + 1000, usegmt=True)
    with receiver(answer(503, Retry_After=at)) as endpoint, pytest.raises(RetryAfter) as raised:
        deliver(endpoint.url)
    assert 900 < raised.value.seconds <= 1000


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 501, 503, 599])
def test_passing_trouble_is_retried(status: int) -> None:
    with receiver(answer(status)) as endpoint, pytest.raises(DeliveryFailed, match=str(status)):
        deliver(endpoint.url)


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422, 451])
def test_lasting_refusal_is_discarded_with_its_reason(status: int) -> None:
    with receiver(answer(status, b'{"error": "no such\n  hook"}')) as endpoint:
        with pytest.raises(Discard, match=rf'{status}.*"no such hook"'):
            deliver(f"{endpoint.url}/a?token=s3cret")
        with pytest.raises(Discard) as refused:
            deliver(f"{endpoint.url.replace('//', '//user:s3cret@')}/a?token=s3cret")
    assert "s3cret" not in str(refused.value)


def test_redirect_is_not_followed() -> None:
    with receiver(answer(307, Location="http://169.254.169.254/latest")) as endpoint:
        with pytest.raises(Discard, match="Redirects are not followed"):
            deliver(endpoint.url)
        assert len(endpoint.received) == 1


def test_endless_answer_is_cut() -> None:
    def pour(handler: Any) -> None:
        handler.send_response(500)
        handler.end_headers()
        while not stop.is_set():
            handler.wfile.write(b"x" * 65536)

    stop = threading.Event()
    with receiver(pour) as endpoint:
        try:
            with pytest.raises(DeliveryFailed) as failed:
                deliver(endpoint.url)
        finally:
            stop.set()
    assert len(str(failed.value)) < 700


def test_dropped_connection_and_silence_and_nobody_are_retried() -> None:
    silent = threading.Event()
    with receiver(lambda handler: handler.connection.close(), lambda handler: silent.wait(30)) as endpoint:
        with pytest.raises(DeliveryFailed, match="RemoteProtocolError"):
            deliver(endpoint.url)
        try:
            with pytest.raises(DeliveryFailed, match="ReadTimeout"):
                deliver(endpoint.url, timeout=0.2)
        finally:
            silent.set()
    with pytest.raises(DeliveryFailed, match="ConnectError"):
        deliver(f"http://127.0.0.1:{free_port()}")


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("ftp://host/x", {}, "only http:// and https://"),
        ("file:///etc/passwd", {}, "only http:// and https://"),
        ("/relative", {}, "only http:// and https://"),
        ("http://", {}, "only http:// and https://"),
        ("http://host:port/", {}, "is no URL"),
        ("http://127.0.0.1:1/", {"headers": {"Webhook-ID": "x"}}, "Webhook-ID"),
        ("http://127.0.0.1:1/", {"headers": {"X": "ä"}}, "HTTP cannot carry"),
        ("http://127.0.0.1:1/", {"headers": {"X": "a\r\nb: c"}}, "HTTP cannot carry"),
        ("http://127.0.0.1:1/", {"secret": "shop-us"}, "has no PERDURE_WEBHOOK_SECRET_SHOP_US"),
        ("http://127.0.0.1:1/", {"secret": "../x"}, "no name of a secret"),
    ],
)
def test_wrong_call_is_discarded(url: str, options: Any, message: str) -> None:
    with pytest.raises(Discard, match=message):
        deliver(url, **options)


def test_malformed_secret_is_discarded_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_WEBHOOK_SECRET_SHOP_EU", "hunter2")
    with pytest.raises(Discard, match="24 to 64 bytes") as refused:
        deliver("http://127.0.0.1:1/")
    assert "hunter2" not in str(refused.value)
