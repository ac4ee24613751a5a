"""The broker's queues, and what a bell is called in them."""

from __future__ import annotations

#: How the queues' names begin.
QUEUE_PREFIX = "perdure."
#: Celery's name of a bell.
BELL = "perdure.bell"
#: A call without arguments, ``[[], {}, {}]`` in base64: the body of a bell.
EMPTY_CALL = "W1tdLCB7fSwge31d"


def queue_name(bulkhead: str) -> str:
    """Return the queue of a bulkhead."""
    return f"{QUEUE_PREFIX}{bulkhead}"
