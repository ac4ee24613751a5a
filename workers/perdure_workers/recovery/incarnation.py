"""One life of a worker: the identity under which its children claim jobs."""

from __future__ import annotations

import os
import socket

from msgspec import Struct

from perdure.model.ids import new_id


class Incarnation(Struct, frozen=True):
    """A worker's identity; a restarted worker is another incarnation.

    Attributes:
        id: Unique for each life of a worker.
        name: The worker's name, for people; Celery's node name.
        bulkhead: What it serves.
        concurrency: Its number of children.
        host: Where it runs.
        pid: Its main process.
    """

    id: str
    name: str
    bulkhead: str
    concurrency: int
    host: str
    pid: int

    @classmethod
    def new(cls, name: str | None, bulkhead: str, concurrency: int) -> Incarnation:
        """Return a new incarnation of this process; ``name`` defaults to the bulkhead's."""
        host = socket.gethostname()
        node = name or bulkhead
        return cls(new_id(), node if "@" in node else f"{node}@{host}", bulkhead, concurrency, host, os.getpid())
