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
    """Have kombu's Redis transport of this process wrap entries that it cannot parse."""
    setattr(transport, "loads", loads_or_wrap)  # noqa: B010 - kombu's stubs do not know the name


def loads_or_wrap(text: str) -> Any:
    """Return the message of a queue entry; one that holds the raw bytes when the entry is no message."""
    try:
        message = loads(text)
        if (
            isinstance(message, dict)
            and "delivery_tag" in message["properties"]
            and "delivery_info" in message["properties"]
        ):
            return message
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return _wrapped(text)


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
