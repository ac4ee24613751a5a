"""The broker's queues, and what a bell is called in them."""

from __future__ import annotations

from typing import Any

#: How the queues' names begin.
QUEUE_PREFIX = "perdure."
#: Bells that a queue holds at most: more than there are children to answer would wake nobody else.
MOST = 16
#: A queue of RabbitMQ: on several nodes of a cluster, so that it outlives any one of them; the oldest bell gives way.
QUORUM: dict[str, Any] = {"x-queue-type": "quorum", "x-max-length": MOST}
#: Celery's name of a bell.
BELL = "perdure.bell"
#: A call without arguments, ``[[], {}, {}]`` in base64: the body of a bell.
EMPTY_CALL = "W1tdLCB7fSwge31d"


def queue_name(bulkhead: str) -> str:
    """Return the queue of a bulkhead."""
    return f"{QUEUE_PREFIX}{bulkhead}"
