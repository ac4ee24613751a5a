"""Webhook signatures: the symmetric scheme of Standard Webhooks 1.0 (https://www.standardwebhooks.com).

``webhook-signature`` is ``v1,`` and the base64 of HMAC-SHA256 over ``{webhook-id}.{webhook-timestamp}.{body}``;
several, separated by spaces, while a secret is being rotated. A secret is ``whsec_`` and the base64 of 24 to 64 bytes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Iterable, Mapping

from perdure_tasks.errors import SignatureInvalid

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"

#: How far a webhook's clock may be from the receiver's, in seconds: what the reference libraries allow.
TOLERANCE_S = 300.0

_VERSION = "v1"
_PREFIX = "whsec_"
_SHORTEST_KEY = 24
_LONGEST_KEY = 64


def sign(secrets: str | Iterable[str], webhook_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the three headers that sign a webhook.

    Args:
        secrets: The receiver's secret; or several while it is rotated, the newest first.
        webhook_id: The event's id, the same for every attempt; without ``.``, which separates the signed parts.
        timestamp: When this attempt is made, in seconds since the epoch.
        body: The exact bytes that are sent.

    Raises:
        ValueError: A secret is malformed, or the id contains a ``.``.
    """
    if "." in webhook_id:
        raise ValueError(f"the webhook id {webhook_id!r} contains a '.'.")
    signatures = [f"{_VERSION},{_digest(key, webhook_id, str(timestamp), body)}" for key in _keys(secrets)]
    return {
        ID_HEADER: webhook_id,
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: " ".join(signatures),
    }


def verify(
    secrets: str | Iterable[str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    tolerance: float = TOLERANCE_S,
    now: float | None = None,
) -> str:
    """Return the id of a webhook that is authentic: what a receiver does before it trusts a request.

    Remember the id and answer a known one with 200 without doing its work again: a delivery whose answer was lost is
    sent a second time.

    Args:
        secrets: The secret shared with the sender, or several while it is rotated.
        headers: The request's headers, their names in any case.
        body: The request's body as it came, before any parsing.
        tolerance: How far the webhook's timestamp may be from now, in seconds.
        now: Seconds since the epoch; the system clock by default.

    Raises:
        SignatureInvalid: A header is missing or malformed, the timestamp is too far away or no signature fits.
        ValueError: A secret is malformed.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    webhook_id, timestamp, signatures = (_header(lower, h) for h in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER))
    _check_age(timestamp, time.time() if now is None else now, tolerance)
    expected = [_digest(key, webhook_id, timestamp, body).encode() for key in _keys(secrets)]
    for candidate in signatures.split():
        version, _, digest = candidate.partition(",")
        if version == _VERSION and any(hmac.compare_digest(digest.encode(), known) for known in expected):
            return webhook_id
    raise SignatureInvalid(f"webhook {webhook_id}: no signature fits. Is the secret the sender's, the body unparsed?")


def _check_age(timestamp: str, now: float, tolerance: float) -> None:
    if not (timestamp.isascii() and timestamp.isdigit()):
        raise SignatureInvalid(f"{TIMESTAMP_HEADER} {timestamp!r:.40} is not a number of seconds.")
    age = now - int(timestamp)
    if abs(age) > tolerance:
        raise SignatureInvalid(f"{TIMESTAMP_HEADER} is {age:.0f} s away from now; at most {tolerance:g} s are allowed.")


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    if not value:
        raise SignatureInvalid(f"the request has no {name} header.")
    return value


def _digest(key: bytes, webhook_id: str, timestamp: str, body: bytes) -> str:
    content = b".".join((webhook_id.encode(), timestamp.encode(), body))
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def _keys(secrets: str | Iterable[str]) -> list[bytes]:
    keys = [_key(secret) for secret in ([secrets] if isinstance(secrets, str) else secrets)]
    if not keys:
        raise ValueError("no webhook secret was given.")
    return keys


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not _SHORTEST_KEY <= len(key) <= _LONGEST_KEY:  # the message must not show the secret
        raise ValueError(f"a webhook secret must be {_PREFIX!r} and the base64 of {_SHORTEST_KEY} to {_LONGEST_KEY} bytes.")
    return key
