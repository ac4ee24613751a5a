"""``webhooks.deliver``: one signed event to one HTTP endpoint, as Standard Webhooks 1.0 has it.

Delivery is at least once: an answer may be lost after the receiver did its work. So every attempt of a job carries
the same body, ``webhook-id`` and ``Idempotency-Key``, by which receivers recognise what they already have.
"""

from __future__ import annotations

import hashlib
import re
import ssl
import time
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, TypedDict
from urllib.parse import quote
from uuid import UUID

import httpx
import msgspec

from perdure import Discard, JobContext, RetryAfter, RetryPolicy
from perdure.model.text.cut import cut
from perdure_tasks.errors import DeliveryFailed
from perdure_tasks.named import from_environment
from perdure_tasks.routes import Route, routes
from perdure_tasks.signatures import sign

NAME = "webhooks.deliver"
BULKHEAD = "critical"
#: About a day of trying, as the standard recommends: the bound doubles from 5 s to 4 h.
RETRY = RetryPolicy(max_retries=16, base=5.0, max_delay=4 * 3600.0)
#: Seconds for one attempt as a whole; ``timeout`` bounds its single steps.
JOB_TIMEOUT_S = 60.0

SECRET_PREFIX = "PERDURE_WEBHOOK_SECRET_"  # noqa: S105 - the name of a variable
#: A receiver may not park a job for longer, in seconds.
LONGEST_RETRY_AFTER_S = 24 * 3600.0
#: How much of an unhappy answer is read and shown, in bytes: enough for a reason, not for a page.
SHOWN_BODY = 500

#: Client errors that pass: timeout, "same key is in flight", too early, too many.
_TRANSIENT_4XX = frozenset({408, 409, 425, 429})
_OWN_HEADERS = frozenset(
    {
        "content-type",
        "content-length",
        "host",
        "idempotency-key",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    }
)
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VISIBLE = "!\"#$&'()*+,/:;<=>?@[\\]^`{|}"


class Delivery(TypedDict):
    """What a delivered webhook leaves as its job's result.

    Attributes:
        status: The receiver's HTTP status, 2xx.
        webhook_id: The id under which the receiver knows the event.
        seconds: How long the receiver took to answer.
    """

    status: int
    webhook_id: str
    seconds: float


def deliver(
    ctx: JobContext,
    url: str,
    payload: dict[str, Any],
    *,
    event: str,
    secret: str,
    headers: dict[str, str] | None = None,
    timeout: float = 10.0,
) -> Delivery:
    """Post ``{"type": event, "timestamp": ..., "data": payload}`` to a URL, signed.

    Whoever chooses the URL makes the worker send a request there. So it goes to public addresses only, and to private
    ones that ``PERDURE_WEBHOOK_PRIVATE_HOSTS`` names where the workers run; redirects are not followed. A proxy
    (``HTTPS_PROXY``) resolves names by itself: let it refuse internal addresses.

    Args:
        ctx: The job.
        url: Where to; http or https.
        payload: The event's data.
        event: The event's type, such as ``invoice.paid``.
        secret: Name of the signing secret: the worker's environment variable ``PERDURE_WEBHOOK_SECRET_<NAME>`` holds
            ``whsec_...``, or several separated by spaces while it is rotated.
        headers: More headers. They are stored with the job: no passwords here.
        timeout: Seconds for connecting, for sending and for each wait for more of the answer.

    Returns:
        The receiver's status, the event's id there and the seconds it took.

    Raises:
        RetryAfter: The receiver said when to try again.
        DeliveryFailed: The receiver is unreachable or failed (5xx, 408, 409, 425, 429).
        Discard: Trying again is of no use: another 4xx (410 Gone among them), a redirect, an address that is not public,
            or a call that is wrong. What a private address or one behind a proxy answered is not shown.
    """
    target = _checked_url(url)
    secrets = from_environment(SECRET_PREFIX, secret).split()
    body = _body(ctx, event, payload)
    webhook_id = _webhook_id(ctx.idempotency_key)
    try:
        signed = sign(secrets, webhook_id, int(time.time()), body)
    except ValueError as error:
        raise Discard(f"the secret {secret!r} cannot be used: {error}") from None
    own = {"content-type": "application/json", "idempotency-key": quote(ctx.idempotency_key, safe=_VISIBLE), **signed}
    status, seconds = _post(target, {**_checked_headers(headers), **own}, body, timeout)
    return {"status": status, "webhook_id": webhook_id, "seconds": round(seconds, 6)}


def retry_after_seconds(value: str | None, now: float) -> float | None:
    """Return the delay that a ``Retry-After`` header asks for (RFC 9110, 10.2.3), or None when it is absent or garbled.

    Args:
        value: Seconds, or an HTTP date.
        now: Seconds since the epoch.

    Returns:
        Seconds, from 0 to :data:`LONGEST_RETRY_AFTER_S`.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:  # "-0000" means UTC of unknown origin
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, moment.timestamp() - now), LONGEST_RETRY_AFTER_S)


def _post(url: httpx.URL, headers: dict[str, str], body: bytes, timeout: float) -> tuple[int, float]:
    where = _shown(url)
    try:
        ways = routes(url)
    except OSError as error:
        raise DeliveryFailed(f"{where}: ConnectError: {error}") from error
    except UnicodeError as error:
        raise Discard(f"{where}: no host can have this name: {error}") from error
    for route in ways[:-1]:
        with suppress(httpx.ConnectError, httpx.ConnectTimeout):  # nothing was sent: another address may take it
            return _sent(route, where, headers, body, timeout)
    try:
        return _sent(ways[-1], where, headers, body, timeout)
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise _failure(where, error, ways[-1]) from None


def _sent(route: Route, where: str, headers: dict[str, str], body: bytes, timeout: float) -> tuple[int, float]:
    started = time.monotonic()
    try:
        # A connection of its own: one kept from the last job may be closed by its peer just when it is used again.
        with (
            httpx.Client(verify=_trust(), timeout=timeout, trust_env=False, proxy=route.proxy) as client,
            client.stream(
                "POST", route.url, headers={**headers, "host": route.host}, content=body, extensions=route.extensions
            ) as response,
        ):
            if not response.is_success:
                raise _refusal(response, where, is_shown=route.is_shown)
            return response.status_code, time.monotonic() - started
    except (httpx.LocalProtocolError, httpx.UnsupportedProtocol) as error:
        raise Discard(f"{where}: the request cannot be sent: {error}") from error
    except (httpx.ConnectError, httpx.ConnectTimeout):
        raise
    except httpx.TransportError as error:
        raise _failure(where, error, route) from None


def _failure(where: str, error: httpx.TransportError, route: Route) -> DeliveryFailed:
    """Return what to raise when there was no answer; the error's words may quote what a receiver said."""
    return DeliveryFailed(f"{where}: {type(error).__name__}" + (f": {error}" if route.is_shown else ""))


@cache
def _trust() -> ssl.SSLContext:
    """Return the trusted certificates; loading them takes longer than a delivery."""
    return httpx.create_ssl_context()


def _refusal(response: httpx.Response, where: str, *, is_shown: bool) -> Exception:
    """Return what to raise for an answer that is not 2xx; its own words are in it only when they may be shown."""
    status = response.status_code
    what = f"{where} answered {status}"
    if is_shown:
        what = f"{what} {response.reason_phrase}".rstrip()
    if response.is_redirect:
        location = f" to {response.headers.get('location', '')!r:.200}" if is_shown else ""
        return Discard(f"{what}{location}. Redirects are not followed: use the final URL.")
    if is_shown:
        what = f"{what}: {_excerpt(response)}".removesuffix(": ")
    if status == httpx.codes.GONE:
        return Discard(f"{what}. The endpoint is gone: stop sending to it.")
    if status < 500 and status not in _TRANSIENT_4XX:
        return Discard(what)
    delay = retry_after_seconds(response.headers.get("retry-after"), time.time())
    return DeliveryFailed(what) if delay is None else RetryAfter(delay, f"{what} (try again after {delay:g} s)")


def _excerpt(response: httpx.Response) -> str:
    """Return the beginning of an answer; no more of it is read, however long it is."""
    read = b""
    try:
        for chunk in response.iter_bytes(SHOWN_BODY):
            read += chunk
            if len(read) > SHOWN_BODY:
                break
    except (httpx.TransportError, httpx.DecodingError) as error:
        read += f" [{type(error).__name__}]".encode()
    return cut(" ".join(read.decode("utf-8", "replace").split()), SHOWN_BODY)


def _body(ctx: JobContext, event: str, payload: dict[str, Any]) -> bytes:
    """Return the body; the same bytes on every attempt, since nothing in it is of the attempt."""
    return msgspec.json.encode({"type": event, "timestamp": _submitted_at(ctx.job_id), "data": payload})


def _submitted_at(job_id: str) -> str:
    """Return when a job was submitted: a UUIDv7's first 48 bits are milliseconds since the epoch (RFC 9562, 5.7)."""
    moment = datetime.fromtimestamp((UUID(job_id).int >> 80) / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _webhook_id(key: str) -> str:
    """Return the key itself, or its hash where the key has characters that have no place in a signed id."""
    return key if _PLAIN_ID.fullmatch(key) else f"msg_{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def _checked_url(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise Discard(f"{url!r:.200} is no URL: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise Discard(f"{_shown(parsed)!r:.200}: only http:// and https:// URLs with a host can be delivered to.")
    return parsed


def _checked_headers(headers: dict[str, str] | None) -> dict[str, str]:
    taken = sorted(name for name in headers or {} if name.lower() in _OWN_HEADERS)
    if taken:
        raise Discard(f"the headers {', '.join(taken)} are the delivery's own and cannot be set.")
    foreign = sorted(name for name, value in (headers or {}).items() if not _visible(name + value))
    if foreign:
        raise Discard(f"the headers {', '.join(foreign)!r:.200} have characters that HTTP cannot carry.")
    return headers or {}


def _visible(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _shown(url: httpx.URL) -> str:
    """Return a URL without what may be secret in it: user, password, query, fragment."""
    return str(url.copy_with(username=None, password=None, query=None, fragment=None))
