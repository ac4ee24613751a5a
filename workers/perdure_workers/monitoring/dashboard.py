"""The Grafana dashboard, made from the catalogue: ``perdure metrics --dashboard > deploy/grafana-dashboard.json``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from perdure.model import metrics as m
from perdure.model.metrics import Metric

#: Grafana's variable for the data source, which the reader chooses.
SOURCE = {"type": "prometheus", "uid": "${source}"}
#: A row has 24 columns.
WIDTH, HEIGHT = 8, 8
_UNITS = {"seconds": "s", "bytes": "bytes", "": "short"}


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot.

    Attributes:
        metric: What it shows.
        title: Its title.
        by: Labels by which there is a line each; for the others the values are added up.
        part: Of a histogram, the part within which the values lie, 0 to 1.
        highest: Whether the highest value is shown in place of the sum.
    """

    metric: Metric
    title: str
    by: tuple[str, ...]
    part: float = 0.95
    highest: bool = False

    @property
    def expression(self) -> str:
        """What Prometheus is asked."""
        name, by = self.metric.name, ", ".join(self.by)
        if self.metric.kind == "histogram":
            buckets = f"sum by ({', '.join(('le', *self.by))}) (rate({name}_bucket[$__rate_interval]))"
            return f"histogram_quantile({self.part:g}, {buckets})"
        if self.metric.kind == "counter":
            return f"sum by ({by}) (rate({name}[$__rate_interval]))"
        return f"{'max' if self.highest else 'sum'} by ({by}) ({name})"

    @property
    def unit(self) -> str:
        """Its unit, as Grafana calls it."""
        return "ops" if self.metric.kind == "counter" else _UNITS[self.metric.unit]


#: Rows of the dashboard.
ROWS: dict[str, tuple[Panel, ...]] = {
    "Queues": (
        Panel(m.QUEUE_DEPTH, "Waiting for a worker", ("bulkhead",)),
        Panel(m.OLDEST, "Oldest waiting job", ("bulkhead",), highest=True),
        Panel(m.WAITING, "Waiting for their time", ("bulkhead",)),
        Panel(m.SUBMITTED, "Accepted a second", ("bulkhead",)),
        Panel(m.FINISHED, "Ended a second", ("bulkhead", "state")),
        Panel(m.RUNNING, "Running", ("task",)),
        Panel(m.WAIT, "95 % waited less than", ("bulkhead",)),
        Panel(m.PAUSED, "Paused", ("bulkhead",)),
        Panel(m.UP, "What can be read", ("part",)),
    ),
    "Tasks": (
        Panel(m.RUN, "95 % ran less than", ("task",)),
        Panel(m.ATTEMPTS, "Attempts a second", ("task", "outcome")),
        Panel(m.RETRIES, "Retries a second", ("task",)),
        Panel(m.DEAD_LETTERS, "Dead letters a second", ("task", "reason")),
        Panel(m.OPEN_LETTERS, "Open dead letters", ("task",)),
        Panel(m.PERMITS, "Permits in use", ("kind", "name")),
    ),
    "Workers and recovery": (
        Panel(m.WORKERS, "Workers", ("bulkhead", "state")),
        Panel(m.HEARTBEAT, "Age of the last heartbeat", ("worker",), highest=True),
        Panel(m.WORKER_FAILURES, "Failed workers a second", ("bulkhead",)),
        Panel(m.RECOVERY, "99 % of jobs ran again within", ("bulkhead",), part=0.99),
        Panel(m.BELLS_MISSED, "Jobs a second whose bell nobody heard", ("bulkhead",)),
        Panel(m.DUTY_AGE, "Duties were last done", ("duty",), highest=True),
        Panel(m.DUTY, "95 % of duties took less than", ("duty",)),
        Panel(m.OUTVOTED, "Votes lost", ("worker",)),
        Panel(m.BARRED, "Barred from votes", ("worker",)),
    ),
    "Checkpoints": (
        Panel(m.CHECKPOINT, "95 % of saves took less than", ("task",)),
        Panel(m.CHECKPOINT_SIZE, "95 % are smaller than", ("task",)),
        Panel(m.CHECKPOINT_FAILURES, "Failures a second", ("task",)),
    ),
    "Services": (
        Panel(m.SERVICE_CALLS, "Calls a second", ("service", "outcome")),
        Panel(m.SERVICE_SECONDS, "95 % of calls took less than", ("service",)),
        Panel(m.FALLBACK, "Served a second by", ("service", "level")),
        Panel(m.BREAKER_OPEN, "Open breakers", ("breaker",), highest=True),
        Panel(m.BREAKER_CALLS, "Calls through breakers a second", ("breaker", "outcome")),
        Panel(m.BREAKER_SLOW, "Slow calls a second", ("breaker",)),
        Panel(m.BREAKER_REJECTED, "Rejected a second", ("breaker",)),
        Panel(m.BREAKER_OPENED, "Openings a second", ("breaker",)),
        Panel(m.BREAKER_TRANSITIONS, "Changes of state a second", ("breaker", "from", "to")),
        Panel(m.FAILOVER_CURRENT, "Current members", ("group", "member"), highest=True),
        Panel(m.FAILOVER_HEALTHY, "Healthy members", ("group", "member"), highest=True),
        Panel(m.FAILOVER_SWITCHES, "Switches a second", ("group",)),
        Panel(m.FAILOVERS, "Failovers a second", ("group", "from", "to")),
    ),
    "Injected faults": (
        Panel(m.FAULT_ON, "On", ("kind", "target"), highest=True),
        Panel(m.FAULTS_STRUCK, "Calls struck a second", ("kind", "target")),
    ),
}


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it."""
    source = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    return {
        "uid": "perdure",
        "title": "perdure",
        "tags": ["perdure"],
        "schemaVersion": 39,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [source]},
        "panels": list(_panels()),
    }


def _panels() -> Iterator[dict[str, Any]]:
    numbers, top = count(1), 0
    for title, row in ROWS.items():
        yield {"id": next(numbers), "type": "row", "title": title, "gridPos": {"x": 0, "y": top, "w": 24, "h": 1}}
        top += 1
        for place, panel in enumerate(row):
            x, y = place % 3 * WIDTH, top + place // 3 * HEIGHT
            yield _panel(panel, next(numbers), {"x": x, "y": y, "w": WIDTH, "h": HEIGHT})
        top += -(-len(row) // 3) * HEIGHT


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    legend = " ".join(f"{{{{{label}}}}}" for label in panel.by)
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.metric.help,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [{"refId": "A", "datasource": SOURCE, "expr": panel.expression, "legendFormat": legend}],
    }
