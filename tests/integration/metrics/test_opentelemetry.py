"""OpenTelemetry gets the same series as Prometheus, read when it asks."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from perdure import Perdure
from perdure.manage import observed
from perdure.model.metrics import METRICS, Series
from support.inline import run

Points = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def points(reader: InMemoryMetricReader) -> Points:
    """What a collection gives: values by name and attributes."""
    data: Any = reader.get_metrics_data()
    metrics = [one for of in data.resource_metrics for scope in of.scope_metrics for one in scope.metrics]
    return {
        (one.name, tuple(sorted((name, str(value)) for name, value in point.attributes.items()))): point.value
        for one in metrics
        for point in one.data.data_points
    }


def test_the_same_series(sqlite_app: Perdure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observed, "FRESH", 0.0)
    task = sqlite_app.register(lambda: 1, name="work")
    reader = InMemoryMetricReader()
    sqlite_app.metrics.observe(MeterProvider([reader]))
    of_work = (("bulkhead", "normal"), ("task", "work"))
    for done in (1, 2):
        run(sqlite_app, task.submit())
        found = points(reader)
        assert found["perdure_jobs_finished_total", tuple(sorted([*of_work, ("state", "succeeded")]))] == done
        assert found["perdure_job_run_seconds_count", of_work] == done
        assert found["perdure_job_run_seconds_bucket", tuple(sorted([*of_work, ("le", "+Inf")]))] == done
        assert found["perdure_job_run_seconds_sum", of_work] >= 0.0
    assert found["perdure_queue_depth", (("bulkhead", "normal"),)] == 0


def test_all_instruments_are_asked_for_one_reading(sqlite_app: Perdure, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = []

    def read() -> list[Series]:
        readings.append(1)
        return sqlite_app.metrics.read()

    monkeypatch.setattr(observed, "FRESH", 60.0)
    reader = InMemoryMetricReader()
    observed.observe(read, MeterProvider([reader]))
    points(reader)
    assert len(METRICS) > len(readings) == 1
