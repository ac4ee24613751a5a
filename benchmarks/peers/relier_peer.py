"""Relier, a reliability layer for Celery on Redis; its admission control is set beyond what is measured."""

import effects
import relier.tasks.app  # noqa: F401 - makes the Celery application current
from relier import rl_task

append = rl_task(name="bench.append")(effects.append)


def submit(number: int, seconds: float) -> None:
    """Submit one job."""
    append.push(number, seconds)
