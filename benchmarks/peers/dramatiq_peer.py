"""Dramatiq on Redis. It has no bulk submit."""

import os

import dramatiq
import effects
from dramatiq.brokers.redis import RedisBroker

broker = RedisBroker(url=os.environ["BENCH_REDIS"])
dramatiq.set_broker(broker)
append = dramatiq.actor(effects.append)


def submit(number: int, seconds: float) -> None:
    """Submit one job."""
    append.send(number, seconds)
