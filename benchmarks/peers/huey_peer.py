"""Huey on Redis, no results. It has no bulk submit: ``map`` sends one after the other."""

import os

import effects
from huey import RedisHuey

huey = RedisHuey("bench", url=os.environ["BENCH_REDIS"], results=False)
append = huey.task()(effects.append)


def submit(number: int, seconds: float) -> None:
    """Submit one job."""
    append(number, seconds)
