"""Specifications of the processes that need no application."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from perdure_workers.embedded.redis import redis_answers, redis_command
from perdure_workers.up.processes import ProcessSpec

REDIS_STOP_TIMEOUT_SECONDS = 10.0


def redis_spec(data_dir: Path, port: int, password: str) -> ProcessSpec:
    """Return the embedded Redis as a process of the manager.

    Args:
        data_dir: folder of its append-only file; made if missing.
        port: TCP port on 127.0.0.1.
        password: what its clients have to know.

    Raises:
        ServerBinaryMissing: there is no redis-server.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    return ProcessSpec(
        role="redis",
        name="redis",
        argv=redis_command(data_dir, port, password),
        ready=partial(redis_answers, port, password),
        stop_timeout=REDIS_STOP_TIMEOUT_SECONDS,
    )
