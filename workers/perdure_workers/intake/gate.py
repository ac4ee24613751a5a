"""The gate: what of a broker's messages gets into a worker's main process. Bells do, and plain remote control.

kombu and Celery trust what they read from Redis: an entry that is no JSON, a header of another type or a compressed body
of a few hundred bytes ends the process or takes its memory, and Celery puts the message back for the next one (kombu 5.7,
``transport/redis.py`` and ``message.py``). Here a bell is made anew, so that nothing of what was sent is looked at, and
anything else in a bulkhead's queue goes on as bytes that nobody decodes, to be kept as a dead letter.
"""

from __future__ import annotations

import base64
import logging
import time
from typing import Any

import msgspec
from kombu.transport import redis as transport
from kombu.transport.virtual import base
from kombu.utils.json import loads

from perdure.broker.queues import BELL, EMPTY_CALL
from perdure.model.ids import new_id

logger = logging.getLogger("perdure.gate")

#: Celery's name of a message that was refused.
REFUSED = "perdure.refused"
#: Most of a refused message that is kept, in bytes, and the longest message of remote control that is read.
MAX_KEPT = 64 * 1024
MAX_CONTROL = 256 * 1024
#: Seconds between two lines in the log about remote control that is refused.
LOG_EVERY = 10.0
#: Latest logical clock of Celery's that is taken over: events carry it to programs that know numbers as floats.
LATEST_CLOCK = 2**53


class NotJson(msgspec.Struct, frozen=True):
    """A queue's entry that is no JSON."""

    text: str


def guard_the_gate(bells: str) -> None:
    """Have kombu's Redis transport of this process let in nothing else.

    Args:
        bells: The queue of bells that this process listens to.
    """
    setattr(transport, "loads", _loads)  # noqa: B010 - kombu's stubs do not know the name
    # Bells that cannot be put back because their broker is gone: kombu would leave a file of them in /tmp each time.
    setattr(base, "emergency_dump_state", lambda *_args, **_options: None)  # noqa: B010
    deliver = transport.Transport._deliver

    def deliver_what_may_come_in(self: Any, message: Any, queue: str) -> Any:
        admitted = admit(message, of_bells=queue == bells)
        return None if admitted is None else deliver(self, admitted, queue)

    setattr(transport.Transport, "_deliver", deliver_what_may_come_in)  # noqa: B010 - a method is not assigned to, says mypy


def admit(message: Any, *, of_bells: bool) -> dict[str, Any] | None:
    """Return what is handed on in place of a message; None for remote control that is refused.

    Args:
        message: What was read.
        of_bells: Whether the queue holds bells; the other one is that of remote control.
    """
    if of_bells:
        return _envelope(EMPTY_CALL, task=BELL) if is_bell(message) else _envelope(_kept(message), task=REFUSED)
    if is_plain(message, MAX_CONTROL):
        clock = (message.get("headers") or {}).get("clock")
        return _envelope(message["body"], message["properties"].get("body_encoding"), clock=_clock(clock))
    _log_refused()
    return None


def is_bell(message: Any) -> bool:
    """Return whether a message is a bell, whoever sent it: it says nothing that could be wrong."""
    return is_plain(message, MAX_CONTROL) and (message.get("headers") or {}).get("task") == BELL


def is_plain(message: Any, longest: int) -> bool:
    """Return whether a message is JSON in a text of bounded length, neither compressed nor encoded in any other way."""
    if not isinstance(message, dict) or message.get("content-type") != "application/json":
        return False
    headers, properties, body = message.get("headers"), message.get("properties"), message.get("body")
    if (
        not isinstance(properties, dict)
        or not isinstance(headers, (dict, type(None)))
        or (headers or {}).get("compression")
    ):
        return False
    is_addressed = isinstance(properties.get("delivery_tag"), str) and isinstance(properties.get("delivery_info"), dict)
    if not is_addressed or message.get("content-encoding") != "utf-8" or not isinstance(body, str) or len(body) > longest:
        return False
    encoding = properties.get("body_encoding")
    return encoding is None or (encoding == "base64" and _is_base64(body))


def _loads(text: str) -> Any:
    """Return the value of a JSON text, or what holds it when it is none."""
    try:
        return loads(text)
    except Exception:  # noqa: BLE001 - kombu revives tagged values as it reads, and each type raises what it likes
        return NotJson(text)


def _envelope(body: str, body_encoding: str | None = "base64", **headers: Any) -> dict[str, Any]:
    name = new_id()
    return {
        "body": body,
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"id": name, **headers},
        "properties": {
            "body_encoding": body_encoding,
            "delivery_tag": name,
            "delivery_info": {"exchange": "", "routing_key": ""},
            "correlation_id": name,
        },
    }


def _clock(value: Any) -> int:
    """Return a logical clock that this process may set its own by."""
    return value if type(value) is int and 0 <= value <= LATEST_CLOCK else 0


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        return False
    return True


def _kept(message: Any) -> str:
    """Return what is kept of a refused message, as the body of another one: base64 of a :class:`Refused` in JSON."""
    return base64.b64encode(msgspec.json.encode(described(message))).decode()


class Refused(msgspec.Struct):
    """What is known of a message that was refused.

    Attributes:
        flaw: What is wrong with it, the same words for each message of a kind.
        task: The task that it names.
        job_id: The id that it bears.
        about: Its headers and content type.
        content: The beginning of its body, or of all of it.
        length: How long that was, in bytes.
    """

    flaw: str
    task: str
    job_id: str
    about: dict[str, str]
    content: bytes
    length: int


def described(message: Any) -> Refused:
    """Return what can be said of a refused message, whatever it is made of."""
    if isinstance(message, NotJson):
        raw = message.text.encode("utf-8", "backslashreplace")
        return Refused("it is not JSON", "?", "", {}, raw[:MAX_KEPT], len(raw))
    if not isinstance(message, dict) or not isinstance(message.get("body"), str) or "content-type" not in message:
        raw = _text(message).encode("utf-8", "backslashreplace")
        return Refused("it is not a message", "?", "", {}, raw[:MAX_KEPT], len(raw))
    body, headers = _body(message["body"]), message.get("headers")
    named = headers if isinstance(headers, dict) else {}
    about = {_text(name)[:100]: _text(value)[:500] for name, value in list(named.items())[:50]}
    about["content-type"] = _text(message.get("content-type"))[:100]
    task = named.get("task")
    flaw = (
        "it names a task and is no bell; jobs are submitted through perdure" if isinstance(task, str) else "it is no bell"
    )
    return Refused(flaw, _text(task or "?")[:255], _text(named.get("id"))[:100], about, body[:MAX_KEPT], len(body))


def envelope_of(message: Any) -> dict[str, Any]:
    """Return kombu's message, as other brokers than Redis deliver it, in the form of an entry of a queue."""
    body = message.body
    text = body.decode("utf-8", "backslashreplace") if isinstance(body, bytes) else str(body)
    return {"body": text, "headers": message.headers, "content-type": message.content_type}


def _body(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return text.encode("utf-8", "backslashreplace")


def _text(value: Any) -> str:
    try:
        text = value if isinstance(value, str) else repr(value)
    except Exception as error:  # noqa: BLE001 - kombu may have revived anything
        text = f"<{type(value).__name__}: {type(error).__name__}>"
    return text.encode("utf-8", "backslashreplace").decode()


_logged_at = 0.0


def _log_refused() -> None:
    global _logged_at
    if time.monotonic() - _logged_at > LOG_EVERY:
        _logged_at = time.monotonic()
        logger.warning("a message of remote control was refused: it is not plain JSON, or too long")
