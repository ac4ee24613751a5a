"""``perdure simulate`` against queueing theory, whose formulas are exact where all times are exponential."""

from __future__ import annotations

import math
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from perdure.model.retry_policy import PRESETS, RetryPolicy
from perdure.resilience.breaker.config import BreakerConfig
from perdure_workers.capacity.answer import answer, plot
from perdure_workers.capacity.load import Load
from perdure_workers.capacity.simulation import simulate

pytestmark = pytest.mark.slow

#: Four children that are busy for three quarters of their time.
BUSY = Load(rate=3.0, children=4, service=(1.0,), duration=2500.0)
OUTAGE = Load(rate=10.0, children=5, service=(0.2,), constant=True, duration=300.0, outage=(60.0, 90.0))


def erlang_c(load: Load) -> float:
    """Return the probability that a job waits in an M/M/c queue (Erlang 1917)."""
    a, c = load.offered, load.children
    last = a**c / math.factorial(c) * c / (c - a)
    return last / (sum(a**k / math.factorial(k) for k in range(c)) + last)


def test_waits_are_those_of_erlang() -> None:
    waits = simulate(BUSY).waits
    mean = erlang_c(BUSY) / (BUSY.children - BUSY.rate)
    assert sum(waits) / len(waits) == pytest.approx(mean, rel=0.1)
    assert sum(wait > 0 for wait in waits) / len(waits) == pytest.approx(erlang_c(BUSY), rel=0.1)


def test_constant_service_halves_the_waits_of_one_child() -> None:
    one = Load(rate=0.7, children=1, service=(1.0,), duration=12_000.0)
    waits = simulate(replace(one, constant=True)).waits
    # Pollaczek and Khinchine: rho / (2 mu (1 - rho)) with service times that do not vary.
    assert sum(waits) / len(waits) == pytest.approx(0.7 / (2 * 0.3), rel=0.1)


def test_children_are_as_busy_as_is_offered_and_retries_come_on_top() -> None:
    assert answer(BUSY, simulate(BUSY)).utilisation == pytest.approx(0.75, rel=0.05)
    retry = RetryPolicy(max_retries=2, base=0.1, max_delay=0.1)
    failing = answer(BUSY, simulate(replace(BUSY, rate=0.6, failures=0.5, retry=retry)))
    # Three tries of which each fails half the time: an eighth dies, after 1 + 1/2 + 1/4 attempts on average.
    assert failing.dead / failing.submitted == pytest.approx(1 / 8, rel=0.1)
    assert failing.attempts / failing.submitted == pytest.approx(1.75, rel=0.05)
    assert failing.succeeded + failing.dead == failing.submitted


def test_a_backlog_is_worked_off_side_by_side() -> None:
    load = Load(rate=0.0, children=2, service=(0.5,), constant=True, backlog=10)
    assert simulate(load).waits == pytest.approx([0.0, 0.0, 0.5, 0.5, 1.0, 1.0, 1.5, 1.5, 2.0, 2.0])


def test_a_breaker_saves_the_jobs_that_an_outage_would_bury() -> None:
    without = answer(OUTAGE, simulate(OUTAGE))
    guarded = replace(OUTAGE, breaker=BreakerConfig(recovery_timeout=5.0))
    with_one = answer(guarded, simulate(guarded))
    assert without.dead > 100 > 20 > with_one.dead
    assert with_one.backlog_max > without.backlog_max
    assert with_one.recovery is not None
    assert with_one.recovery > 0


def test_a_seed_is_always_the_same() -> None:
    short = replace(BUSY, duration=100.0, retry=PRESETS["fast"], failures=0.1)
    assert simulate(short) == simulate(short) != simulate(replace(short, seed=1))


def test_the_plot_is_a_picture() -> None:
    picture = ElementTree.fromstring(plot(OUTAGE, simulate(OUTAGE)))
    assert picture.tag.endswith("svg")
    assert len(picture.findall(".//{*}polyline")[0].attrib["points"].split()) > 100


def test_no_load_is_an_answer_too() -> None:
    load = Load(rate=0.0, children=1, service=(1.0,))
    assert answer(load, simulate(load)).wait_max == 0.0
