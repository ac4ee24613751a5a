"""A process that takes permits. Run by test_permits.py."""

from __future__ import annotations

import sys
import time

import redis

from perdure.errors import BulkheadFull
from perdure.resilience.limits.permits import Permits, PermitsConfig


def compete(url: str, limit: int) -> None:
    """Take permits and note how many hold one at the same time, counted by Redis itself."""
    client = redis.Redis.from_url(url)
    permits = Permits(url, "exports", PermitsConfig(limit=limit))
    client.incr("ready")
    while not client.exists("stop"):
        try:
            with permits.acquire("a", timeout=1):
                client.sadd("seen", client.incr("inside"))
                time.sleep(0.002)
                client.decr("inside")
                client.incr("done")
        except BulkheadFull:
            client.incr("refused")


def hold(url: str, lease: int) -> None:
    permits = Permits(url, "exports", PermitsConfig(limit=2, lease=lease))
    with permits.acquire("a"):
        print("holding", flush=True)
        time.sleep(60)


if __name__ == "__main__":
    mode, url, number = sys.argv[1:]
    {"compete": compete, "hold": hold}[mode](url, int(number))
