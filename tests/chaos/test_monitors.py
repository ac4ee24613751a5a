"""What watches Celery applications sees the jobs of a real worker: celery-exporter by its events, Sentry by its errors."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from celery.events.state import State
from kombu import Consumer

from support.cluster import PATIENCE, Cluster
from support.waiting import wait_until

HERE = Path(__file__).parent


class Exporter:
    """Reads events as danihodovic/celery-exporter 0.12 does in ``track_task_event``, which is not to be had from PyPI."""

    COUNTED = ("task-received", "task-started", "task-succeeded", "task-failed", "task-retried")

    def __init__(self) -> None:
        self._state = State()
        self.counted: Counter[tuple[str, ...]] = Counter()
        self.runtimes: list[float] = []

    @contextmanager
    def listening(self, app: Any) -> Iterator[Callable[[], None]]:
        """Subscribe to events; yields what reads those that have come."""
        with app.connection() as connection, connection.channel() as channel:
            receiver = app.events.Receiver(channel, handlers=dict.fromkeys(self.COUNTED, self._track))
            [consumer] = receiver.get_consumers(partial(Consumer, channel), channel)

            def read() -> None:
                with suppress(TimeoutError):
                    connection.drain_events(timeout=0.2)

            with consumer:
                yield read

    def _track(self, event: dict[str, Any]) -> None:
        self._state.event(event)
        state: Any = self._state
        task = state.tasks.get(event["uuid"])
        labels = [task.name, task.hostname.partition("@")[0], task.queue]
        if event["type"] == "task-failed":
            found = re.match(r"^(\w+)\(", task.exception)
            labels.append(found[1] if found else "UnknownException")
        if event["type"] == "task-succeeded":
            self.runtimes.append(task.runtime)
        self.counted[event["type"], *labels] += 1


def test_celery_exporter_and_sentry(sqlite_url: str, redis_url: str, tmp_path: Path) -> None:
    from watched_jobs import build

    cluster = Cluster(build, "watched_jobs", HERE, tmp_path, sqlite_url, redis_url)
    try:
        cluster.worker("w")
        of = ("divide", "w", "perdure.normal")
        expected = {
            ("task-received", *of): 3, ("task-started", *of): 3, ("task-succeeded", *of): 1, ("task-retried", *of): 1,
            ("task-failed", *of, "ZeroDivisionError"): 1,
        }  # fmt: skip
        exporter = Exporter()
        with exporter.listening(cluster.app.celery) as read:
            jobs = cluster.app.task("divide").submit_many([1, 0])
            wait_until(lambda: read() or exporter.counted == expected, PATIENCE, message=lambda: str(exporter.counted))
        assert [runtime >= 0 for runtime in exporter.runtimes] == [True]
        lines = (tmp_path / "sentry").read_text().splitlines()
    finally:
        cluster.close()
    [event] = map(json.loads, lines)
    [error] = event["exception"]["values"]
    assert (error["type"], event["tags"]["celery_task_id"]) == ("ZeroDivisionError", jobs[1].id)
    assert [frame["function"] for frame in error["stacktrace"]["frames"]] == ["divide"]
