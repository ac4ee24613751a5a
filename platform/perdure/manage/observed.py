"""Metrics for OpenTelemetry: the same series under the same names, as observable instruments that read when they are asked.

It has no observable histograms; theirs are counters, as Prometheus has them: ``_bucket`` with the bucket's end as ``le``,
``_sum`` and ``_count``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from perdure.model.metrics import METRICS, Distribution, Series

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

#: Seconds for which a reading will do: all instruments are asked one after the other.
FRESH = 1.0


def observe(read: Callable[[], Sequence[Series]], provider: MeterProvider) -> None:
    """Make an instrument of each metric; see :meth:`perdure.manage.metrics.Metrics.observe`."""
    meter, reading = provider.get_meter("perdure", version("perdure")), _Reading(read)
    for metric in METRICS:
        unit = {"seconds": "s", "bytes": "By"}.get(metric.unit, "1")
        if metric.kind == "gauge":
            meter.create_observable_gauge(metric.name, [_values(reading, metric.name)], unit, metric.help)
        elif metric.kind == "counter":
            meter.create_observable_counter(metric.name, [_values(reading, metric.name)], unit, metric.help)
        else:
            for suffix, of in (("_bucket", _buckets), ("_count", _count), ("_sum", _sum)):
                counted_in = unit if suffix == "_sum" else "1"
                callback = _distributions(reading, metric.name, of)
                meter.create_observable_counter(f"{metric.name}{suffix}", [callback], counted_in, metric.help)


class _Reading:
    """All series by metric, read anew when the last reading is old."""

    def __init__(self, read: Callable[[], Sequence[Series]]) -> None:
        self._read, self._at = read, float("-inf")
        self._found: dict[str, list[Series]] = {}

    def of(self, name: str) -> list[Series]:
        """Return the series of a metric."""
        if time.monotonic() - self._at >= FRESH:
            found: dict[str, list[Series]] = {}
            for one in self._read():
                found.setdefault(one.metric.name, []).append(one)
            self._found, self._at = found, time.monotonic()
        return self._found.get(name, [])


Callback = Callable[["CallbackOptions"], Iterable["Observation"]]
#: More attributes, and a value, of a distribution.
Values = Iterator[tuple[dict[str, str], float]]


def _values(reading: _Reading, name: str) -> Callback:
    from opentelemetry.metrics import Observation

    def callback(_options: CallbackOptions) -> Iterator[Observation]:
        for one in reading.of(name):
            assert not isinstance(one.value, Distribution)
            yield Observation(one.value, _attributes(one))

    return callback


def _distributions(reading: _Reading, name: str, of: Callable[[Series, Distribution], Values]) -> Callback:
    from opentelemetry.metrics import Observation

    def callback(_options: CallbackOptions) -> Iterator[Observation]:
        for one in reading.of(name):
            assert isinstance(one.value, Distribution)
            for more, value in of(one, one.value):
                yield Observation(value, _attributes(one) | more)

    return callback


def _attributes(one: Series) -> dict[str, Any]:
    return dict(zip(one.metric.labels, one.labels, strict=True))


def _buckets(one: Series, value: Distribution) -> Values:
    ends = [*map(str, one.metric.buckets), "+Inf"]
    return (({"le": end}, float(count)) for end, count in zip(ends, accumulate(value.buckets), strict=True))


def _count(_one: Series, value: Distribution) -> Values:
    yield {}, float(value.count)


def _sum(_one: Series, value: Distribution) -> Values:
    yield {}, value.sum
