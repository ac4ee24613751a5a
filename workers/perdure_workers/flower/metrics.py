"""Perdure's metrics among Flower's on ``/metrics``: read from the ledger and Redis now and then."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from perdure_workers.monitoring.exposition import families

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

    def collect(self) -> Iterable[Metric]:
        """Return what was read last; never blocks."""
        return self._metrics

    def read(self) -> None:
        """Read everything anew."""
        self._metrics = families(self._app.metrics.read())


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
