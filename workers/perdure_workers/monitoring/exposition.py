"""Metrics in Prometheus' words: families for its client's registry, and the text that it reads."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from perdure.model.metrics import METRICS, Distribution, Metric, Series

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


def families(series: Iterable[Series]) -> list[Family]:
    """Return a family for each metric that there is, those without series as well."""
    found = {metric.name: _family(metric) for metric in METRICS}
    for one in series:
        family, value = found[one.metric.name], one.value
        if isinstance(value, Distribution):
            assert isinstance(family, HistogramMetricFamily)
            ends = [*(str(bound) for bound in one.metric.buckets), "+Inf"]
            family.add_metric(one.labels, list(zip(ends, accumulate(value.buckets), strict=True)), value.sum)
        else:
            assert isinstance(family, CounterMetricFamily | GaugeMetricFamily)
            family.add_metric(one.labels, value)
    return list(found.values())


def exposition(series: Iterable[Series]) -> bytes:
    """Return series as the text that Prometheus scrapes."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(families(series)))
    return generate_latest(registry)


class _Once(Collector):
    def __init__(self, found: list[Family]) -> None:
        self._found = found

    def collect(self) -> Iterable[Family]:
        """Return what was read."""
        return self._found


def _family(metric: Metric) -> CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily:
    if metric.kind == "counter":
        return CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    if metric.kind == "gauge":
        return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    return HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
