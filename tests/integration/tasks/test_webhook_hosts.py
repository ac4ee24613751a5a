"""Where ``webhooks.deliver`` does not go, and what it does not tell of there."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from perdure import Discard, RetryAfter
from perdure.system.ports import free_port
from perdure_tasks import public_hosts, webhooks
from perdure_tasks.errors import DeliveryFailed
from support.context import RecordingContext
from support.receiver import answer, receiver

PRIVATE = [
    *["127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.100.100.200"],
    *["224.0.0.1", "255.255.255.255", "192.0.0.192", "168.63.129.16", "::", "::1", "fe80::1", "fd00:ec2::254", "ff02::1"],
    *["::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1"],
    *["2002:7f00:1::", "2001:0:0:0:0:0:80ff:fefe", "2001:db8::1", "fec0::1"],
]
OTHER_SPELLINGS = ["localhost", "LOCALHOST", "2130706433", "0x7f000001", "127.1", "017700000001", "0"]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_WEBHOOK_SECRET_SHOP", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    monkeypatch.delenv("PERDURE_WEBHOOK_PRIVATE_HOSTS", raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``resolve("name", first, second)`` lets a name mean these addresses, one after the other, the last one for ever."""
    real = socket.getaddrinfo
    known: dict[str, list[str]] = {}

    def getaddrinfo(host: str, port: int, *args: Any, **options: Any) -> Any:
        if host not in known:
            return real(host, port, *args, **options)
        answers = known[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [found for each in addresses for found in real(each, port, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return lambda name, *answers: known.update({name: list(answers)})


def deliver(url: str, **options: Any) -> Any:
    return webhooks.deliver(RecordingContext().given, url, {"id": 7}, event="e", secret="shop", timeout=5.0, **options)


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_not_public(address: Any) -> None:
    assert not public_hosts.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_that_are_public(address: Any) -> None:
    assert public_hosts.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("host", [*PRIVATE, *OTHER_SPELLINGS])
def test_nothing_is_sent_to_a_private_address(host: str) -> None:
    with receiver(answer(200)) as endpoint:
        port = endpoint.url.rpartition(":")[2]
        with pytest.raises(Discard, match="is no public address"):
            deliver(f"http://{f'[{host}]' if ':' in host else host}:{port}/")
        assert endpoint.received == []


def test_nothing_is_sent_to_a_name_of_a_private_address(resolve: Any) -> None:
    resolve("hooks.test", ["10.0.0.1", "::1"])
    with pytest.raises(Discard, match=r"'hooks\.test' is no public address") as refused:
        deliver("http://hooks.test/")
    assert "10.0.0.1" not in str(refused.value), "what internal names mean is nobody's business"


def test_a_name_is_resolved_once_and_the_connection_goes_there(resolve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: public when it is looked at, private when it is used."""
    monkeypatch.setattr(public_hosts, "is_public", lambda address: str(address) == "127.0.0.2")
    with receiver(answer(200)) as endpoint:
        port = endpoint.url.rpartition(":")[2]
        resolve("hooks.test", ["127.0.0.2"], ["127.0.0.1"])
        with pytest.raises(DeliveryFailed, match="ConnectError"):
            deliver(f"http://hooks.test:{port}/")
        assert endpoint.received == []


def test_of_several_addresses_only_public_ones_are_tried_one_after_the_other(
    resolve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_hosts, "is_public", lambda address: str(address) != "127.0.0.3")
    with receiver(answer(200)) as endpoint:
        port = endpoint.url.rpartition(":")[2]
        resolve("hooks.test", ["127.0.0.3", "127.0.0.2", "127.0.0.1"])
        deliver(f"http://hooks.test:{port}/")
        assert endpoint.received[0].headers["host"] == f"hooks.test:{port}"


@pytest.mark.parametrize("allowed", ["127.0.0.1", "hooks.test", "10.0.0.0/8, 127.0.0.0/8", "other HOOKS.test. ::1"])
def test_private_hosts_that_the_operator_names(resolve: Any, monkeypatch: pytest.MonkeyPatch, allowed: Any) -> None:
    monkeypatch.setenv("PERDURE_WEBHOOK_PRIVATE_HOSTS", allowed)
    resolve("hooks.test", ["127.0.0.1"])
    with receiver(answer(200)) as endpoint:
        port = endpoint.url.rpartition(":")[2]
        assert deliver(f"http://hooks.test:{port}/")["status"] == 200


@pytest.mark.parametrize("allowed", ["10.0.0.0/8", "test", "hooks", "xhooks.test", "hooks.test.evil.example"])
def test_private_hosts_that_the_operator_does_not_name(resolve: Any, monkeypatch: pytest.MonkeyPatch, allowed: Any) -> None:
    monkeypatch.setenv("PERDURE_WEBHOOK_PRIVATE_HOSTS", allowed)
    resolve("hooks.test", ["127.0.0.1"])
    with receiver(answer(200)) as endpoint, pytest.raises(Discard):
        deliver(f"http://hooks.test:{endpoint.url.rpartition(':')[2]}/")
    assert endpoint.received == []


def say(handler: Any) -> None:
    handler.wfile.write(b"SSH-2.0-s3cret\r\n\r\n")


@pytest.mark.parametrize(
    ("answered", "error"),
    [
        (answer(404, b"s3cret"), Discard),
        (answer(500, b"s3cret"), DeliveryFailed),
        (answer(503, b"s3cret", Retry_After="7"), RetryAfter),
        (answer(302, Location="http://s3cret/"), Discard),
        (say, DeliveryFailed),
    ],
)
def test_what_a_private_host_answers_is_not_told(monkeypatch: pytest.MonkeyPatch, answered: Any, error: Any) -> None:
    monkeypatch.setenv("PERDURE_WEBHOOK_PRIVATE_HOSTS", "127.0.0.1")
    with receiver(answered) as endpoint, pytest.raises(error) as told:
        deliver(endpoint.url)
    assert len(endpoint.received) == 1
    assert "s3cret" not in "".join(traceback.format_exception(told.value))


def test_a_redirect_to_a_private_address_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_hosts, "is_public", lambda address: str(address) == "127.0.0.1")
    with receiver(answer(200)) as inside, receiver(answer(307, Location=inside.url)) as endpoint:
        with pytest.raises(Discard, match="Redirects are not followed"):
            deliver(endpoint.url)
        assert inside.received == []


def test_a_proxy_of_the_environment_is_used_and_resolves_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver(answer(502, b"s3cret")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with pytest.raises(DeliveryFailed) as failed:
            deliver("http://hooks.test/in")
        assert proxy.received[0].path == "http://hooks.test/in"
        assert "s3cret" not in str(failed.value)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with pytest.raises(Discard, match="no public address"):
            deliver(f"http://127.0.0.1:{free_port()}/")


def test_names_without_an_address_and_names_that_cannot_be() -> None:
    with pytest.raises(DeliveryFailed, match="ConnectError"):
        deliver("http://no.such.host.invalid/")
    with pytest.raises(Discard):
        deliver(f"http://{'a' * 70}.test/")


def test_the_certificate_must_be_of_the_name(resolve: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hooks.test")]), datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.test")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "pem"
    plain = serialization.NoEncryption()
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(pem)
    monkeypatch.setattr(webhooks, "_trust", lambda: ssl.create_default_context(cafile=str(pem)))
    monkeypatch.setenv("PERDURE_WEBHOOK_PRIVATE_HOSTS", "127.0.0.1")
    for host in ("hooks.test", "other.test"):
        resolve(host, ["127.0.0.1"])
    with receiver(answer(200), tls=served) as endpoint:
        port = endpoint.url.rpartition(":")[2]
        assert deliver(f"https://hooks.test:{port}/")["status"] == 200
        with pytest.raises(DeliveryFailed):
            deliver(f"https://other.test:{port}/")
        assert len(endpoint.received) == 1
