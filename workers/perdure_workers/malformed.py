"""Queue entries that are not JSON.

kombu's Redis transport parses an entry on the event loop and lets the error out, which ends the whole worker (kombu 5.7,
``transport/redis.py``, ``_brpop_read``). Here such an entry becomes a message of a content type that nobody accepts, which
goes the way of every message that makes no sense: it is kept as a dead letter.
"""

from __future__ import annotations

import base64
from typing import Any

from kombu.transport import redis as transport
from kombu.utils.json import loads

from perdure.ids import new_id

CONTENT_TYPE = "application/x-perdure-malformed"


def survive_malformed_entries() -> None:
    """Have kombu's Redis transport of this process wrap entries that it cannot use."""
    setattr(transport, "loads", loads_or_wrap)  # noqa: B010 - kombu's stubs do not know the name
    deliver = transport.Transport._deliver

    def deliver_or_wrap(self: Any, message: Any, queue: str) -> Any:
        return deliver(self, message if is_message(message) else _wrapped(repr(message)), queue)

    setattr(transport.Transport, "_deliver", deliver_or_wrap)  # noqa: B010 - a method is not assigned to, says mypy


def loads_or_wrap(text: str) -> Any:
    """Return the value of a JSON text, or a message that holds its raw bytes when it is not JSON."""
    try:
        return loads(text)
    except (ValueError, RecursionError):
        return _wrapped(text)


def is_message(value: Any) -> bool:
    """Return whether a queue entry has what kombu needs to make a message of it."""
    if not isinstance(value, dict) or "body" not in value:
        return False
    properties = value.get("properties")
    return (
        isinstance(properties, dict)
        and isinstance(properties.get("delivery_tag"), str)
        and isinstance(properties.get("delivery_info"), dict)
        and isinstance(value.get("headers"), (dict, type(None)))
    )


def _wrapped(text: str) -> dict[str, Any]:
    raw = text.encode("utf-8", "surrogateescape")
    return {
        "body": base64.b64encode(raw).decode(),
        "content-type": CONTENT_TYPE,
        "content-encoding": "binary",
        "headers": {},
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": new_id(),
            "delivery_info": {"exchange": "", "routing_key": ""},
        },
    }
