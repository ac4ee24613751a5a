"""A process that calls a scripted service through a breaker. Run by test_breaker_processes.py.

The service fails unless the key ``healthy`` is set. It notes the time of each call in the list ``calls`` and answers
when all trial calls of a period have arrived, so that each period shows how many were let through.
"""

from __future__ import annotations

import os
import sys
import time

import redis

from perdure.resilience.breaker.breaker import CircuitBreaker
from perdure.resilience.breaker.config import BreakerConfig
from perdure.resilience.breaker.events import CircuitOpen
from perdure.resilience.breaker.trial_holder import trials_held_by


class Down(Exception):
    pass


def serve(client: redis.Redis, permits: int) -> None:
    seconds, micros = client.time()
    client.rpush("calls", seconds * 1000 + micros // 1000)
    arrived = client.incr("arrived")
    all_here = -(-arrived // permits) * permits
    while not client.exists("healthy") and int(client.get("arrived") or 0) < all_here:
        time.sleep(0.002)
    if not client.exists("healthy"):
        raise Down


def hammer(url: str, permits: int) -> None:
    client = redis.Redis.from_url(url)
    config = BreakerConfig(recovery_timeout=0.3, recovery_growth=1, half_open_permits=permits, permit_lease=20)
    breaker = CircuitBreaker(url, "payments", config)
    client.incr("ready")
    while not client.exists("stop"):
        try:
            breaker.call(serve, client, permits)
            client.incr("succeeded")
        except CircuitOpen:
            time.sleep(0.005)
        except Down:
            pass


def flow(url: str, recovery: float) -> None:
    """Call a service that answers or fails at once, many times while an answer of the breaker holds."""
    client = redis.Redis.from_url(url)
    breaker = CircuitBreaker(url, "payments", BreakerConfig(recovery_timeout=recovery, recovery_growth=1))

    def serve_at_once() -> None:
        seconds, micros = client.time()
        if not client.exists("healthy"):
            client.rpush("failed", f"{os.getpid()}:{seconds * 1000 + micros // 1000}")
            raise Down

    while not client.exists("stop"):
        try:
            breaker.call(serve_at_once)
            client.incr(f"succeeded:{os.getpid()}")
            time.sleep(0.005)
        except CircuitOpen:
            time.sleep(0.005)
        except Down:
            pass


def hold(url: str, lease: float) -> None:
    breaker = CircuitBreaker(url, "payments", BreakerConfig(recovery_timeout=0.05, permit_lease=lease))
    with trials_held_by("job-1:7"), breaker:
        print("holding", flush=True)
        time.sleep(60)


if __name__ == "__main__":
    mode, url, number = sys.argv[1:]
    if mode == "hammer":
        hammer(url, int(number))
    else:
        {"hold": hold, "flow": flow}[mode](url, float(number))
