"""Perdure's metrics among Flower's on ``/metrics``: read from the ledger and Redis when somebody asks for them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from perdure.errors import LedgerUnavailable

if TYPE_CHECKING:
    from perdure import Perdure

logger = logging.getLogger("perdure.flower")

#: Seconds between two reads. They are made by a thread: Flower collects on its ioloop, where no SQL may run.
PERIOD = 5.0


class PerdureMetrics(Collector):
    """What was read last.

    Args:
        app: The application.
    """

    def __init__(self, app: Perdure) -> None:
        self._app = app
        self._metrics: list[Metric] = []
        self._outcomes: dict[tuple[str, str], int] = {}
        self._counted_until: float | None = None

    def collect(self) -> Iterable[Metric]:
        """Return what was read last; never blocks."""
        return self._metrics

    def read(self) -> None:
        """Read everything anew; a part that cannot be read is left out, and ``perdure_up`` says so."""
        up = GaugeMetricFamily("perdure_up", "Whether the part could be read", labels=["part"])
        metrics: list[Metric] = [up]
        for part, read in (("ledger", self._of_ledger), ("redis", self._of_redis)):
            try:
                metrics += read()
                up.add_metric([part], 1)
            except (LedgerUnavailable, RedisError) as error:
                logger.warning("metrics of the %s cannot be read: %s", part, error)
                up.add_metric([part], 0)
        self._metrics = metrics

    def _of_ledger(self) -> list[Metric]:
        depth = GaugeMetricFamily("perdure_queue_depth", "Jobs that wait for a worker", labels=["bulkhead"])
        running = GaugeMetricFamily("perdure_jobs_running", "Jobs that run", labels=["bulkhead"])
        waiting = GaugeMetricFamily("perdure_jobs_waiting", "Jobs that wait for their time", labels=["bulkhead"])
        oldest = GaugeMetricFamily("perdure_oldest_queued_seconds", "Wait of the oldest queued job", labels=["bulkhead"])
        paused = GaugeMetricFamily("perdure_bulkhead_paused", "Whether the bulkhead is paused", labels=["bulkhead"])
        for bulkhead in self._app.bulkheads.list():
            label, counts = [bulkhead.name], bulkhead.counts
            depth.add_metric(label, counts.queued)
            running.add_metric(label, counts.running)
            waiting.add_metric(label, counts.waiting)
            oldest.add_metric(label, counts.oldest_wait or 0.0)
            paused.add_metric(label, counts.paused)
        return [depth, running, waiting, oldest, paused, self._attempts(), self._letters(), *self._workers()]

    def _attempts(self) -> Metric:
        ended = CounterMetricFamily("perdure_attempts", "Attempts that ended", labels=["bulkhead", "outcome"])
        now = self._app.ledger.clock() - 1.0  # what is being committed now is counted next time
        if self._counted_until is not None:
            for one in self._app.ledger.jobs.ended_between(self._counted_until, now):
                for outcome, count in (("succeeded", one.succeeded), ("failed", one.failed)):
                    key = (one.bulkhead, outcome)
                    self._outcomes[key] = self._outcomes.get(key, 0) + count
        self._counted_until = now
        for (bulkhead, outcome), count in sorted(self._outcomes.items()):
            ended.add_metric([bulkhead, outcome], count)
        return ended

    def _letters(self) -> Metric:
        letters = GaugeMetricFamily("perdure_dead_letters_open", "Open dead letters", labels=["task"])
        by_task: dict[str, int] = {}
        for group in self._app.dead_letters.groups(limit=500, open_only=True):
            by_task[group.task] = by_task.get(group.task, 0) + group.open
        for task, count in sorted(by_task.items()):
            letters.add_metric([task], count)
        return letters

    def _workers(self) -> list[Metric]:
        states = GaugeMetricFamily("perdure_workers", "Live workers", labels=["bulkhead", "state"])
        beat = GaugeMetricFamily("perdure_worker_heartbeat_age_seconds", "Age of a heartbeat", labels=["worker"])
        outvoted = GaugeMetricFamily("perdure_worker_outvoted", "Votes lost since it was trusted", labels=["worker"])
        barred = GaugeMetricFamily("perdure_worker_barred", "Whether it takes part in no more votes", labels=["worker"])
        counted: dict[tuple[str, str], int] = {}
        for worker in self._app.workers.list():
            key = (worker.bulkhead, worker.state)
            counted[key] = counted.get(key, 0) + 1
            beat.add_metric([worker.name], worker.heartbeat_age)
            outvoted.add_metric([worker.name], worker.outvoted)
            barred.add_metric([worker.name], worker.barred)
        for (bulkhead, state), count in sorted(counted.items()):
            states.add_metric([bulkhead, state], count)
        return [states, beat, outvoted, barred]

    def _of_redis(self) -> list[Metric]:
        return [*self._of_breakers(), *self._of_failover()]

    def _of_failover(self) -> list[Metric]:
        current = GaugeMetricFamily("perdure_failover_current", "1 for the current member", labels=["group", "member"])
        healthy = GaugeMetricFamily("perdure_failover_healthy", "0 for a member that failed", labels=["group", "member"])
        switches = CounterMetricFamily("perdure_failover_switches", "Switches to another member", labels=["group"])
        for snapshot in (group.snapshot() for group in self._app.failover.values()):
            for member in snapshot.members:
                current.add_metric([snapshot.name, member], float(member == snapshot.current))
                healthy.add_metric([snapshot.name, member], float(snapshot.healthy[member]))
            switches.add_metric([snapshot.name], snapshot.epoch)
        return [current, healthy, switches]

    def _of_breakers(self) -> list[Metric]:
        state = GaugeMetricFamily("perdure_breaker_open", "1 open, 0.5 half-open, 0 closed", labels=["breaker"])
        rejected = CounterMetricFamily("perdure_breaker_rejected", "Calls that were not let through", labels=["breaker"])
        opened = CounterMetricFamily("perdure_breaker_opened", "Openings", labels=["breaker"])
        values = {"open": 1.0, "half_open": 0.5}
        for snapshot in self._app.breakers.snapshots():
            state.add_metric([snapshot.name], values.get(str(snapshot.state), 0.0))
            rejected.add_metric([snapshot.name], snapshot.rejected)
            opened.add_metric([snapshot.name], snapshot.opened)
        return [state, rejected, opened]


def install_metrics(app: Perdure) -> PerdureMetrics:
    """Register the metrics of an application and read them from now on."""
    metrics = PerdureMetrics(app)
    REGISTRY.register(metrics)
    threading.Thread(target=_read_on, args=(metrics,), name="perdure-metrics", daemon=True).start()
    return metrics


def _read_on(metrics: PerdureMetrics) -> None:
    while True:
        try:
            metrics.read()
        except Exception:
            logger.exception("metrics cannot be read")
        time.sleep(PERIOD)
