"""The catalogue of metrics keeps Prometheus' conventions; counts become series, and those are bounded in number."""

from __future__ import annotations

import re

import pytest

from perdure.model.metrics import (
    ATTEMPTS,
    METRICS,
    OTHERS,
    RUN,
    RUNNING,
    SECONDS,
    SERVICE_CALLS,
    Count,
    Distribution,
    Metric,
    Series,
    bounded,
    series_of,
)
from perdure.model.tally import Tally

#: Labels that would make a series of their own for each job, call or letter.
WITHOUT_BOUND = {"job", "job_id", "id", "key", "error", "message", "fingerprint", "trace", "tenant", "pid"}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_labels_and_units(metric: Metric) -> None:
    assert re.fullmatch(r"perdure_[a-z]+(_[a-z]+)*", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not metric.unit or metric.name.endswith(metric.unit)
    assert not set(metric.labels) & {*WITHOUT_BOUND, "le"}
    assert metric.help.endswith(".")
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(metric.buckets)


def test_names_are_unique() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_a_value_lies_in_the_first_bucket_whose_end_it_does_not_pass() -> None:
    assert [RUN.place(value) for value in (0.0, 0.001, 0.0011, 3600.0, 3601.0)] == [0, 0, 1, 13, 14]


def test_counts_of_a_histogram_become_one_distribution() -> None:
    labels = ("mail.send", "normal")
    [series] = series_of([Count(RUN.name, labels, 2, 0.004, 1), Count(RUN.name, labels, 1, 9000.0, 99)])
    assert series.value == Distribution((0, 2, *[0] * (len(SECONDS) - 2), 1), 9000.004)
    assert series.value.count == 3


def test_counts_that_this_release_does_not_know_are_passed_by() -> None:
    assert series_of([Count("perdure_of_tomorrow_total", (), 1), Count(ATTEMPTS.name, ("too", "few"), 1)]) == []


def test_series_are_bounded_and_what_is_beyond_is_not_lost() -> None:
    series = [Series(RUNNING, (f"task-{number:04}", "normal"), 1.0) for number in range(500)]
    runs = [Series(RUN, (f"task-{number:04}", "normal"), Distribution((1,) * 15, 2.0)) for number in range(50)]
    found = bounded([*series, *runs], 10)
    assert len(found) == 20
    assert sum(one.value for one in found if isinstance(one.value, float)) == 500
    assert Series(RUN, (OTHERS, OTHERS), Distribution((41,) * 15, 82.0)) in found
    assert bounded(series, 500) == series


def test_a_tally_counts_and_is_emptied() -> None:
    tally, told = Tally(), []
    tally.on_some = lambda: told.append(1)
    for _ in range(3):
        tally.add(SERVICE_CALLS, "mail", "ok")
    tally.observe(0.002, RUN, "mail.send", "normal")
    taken = tally.take()
    assert taken == [
        Count(SERVICE_CALLS.name, ("mail", "ok"), 3),
        Count(RUN.name, ("mail.send", "normal"), 1, 0.002, 1),
    ]
    assert (tally.take(), told) == ([], [1])
    tally.give_back(taken)
    tally.add(SERVICE_CALLS, "mail", "ok")
    assert tally.take()[0] == Count(SERVICE_CALLS.name, ("mail", "ok"), 4)
