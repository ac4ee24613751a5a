"""Seeded schedules of misfortune on the real ledger: what is promised holds, and in a broken build the simulator says so.

``SIMULATE_SEEDS`` says how many; a failure prints its seed and its shortest schedule.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from perdure.ledger import Ledger
from perdure.ledger.jobs import settle
from support.simulator import SimulatedClock, fails, schedule_of, shortest, simulated_ledger

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

SEEDS = int(os.environ.get("SIMULATE_SEEDS", "100"))
#: Seeds in which a broken build has to be found.
ENOUGH = 300
#: What is taken out of the statement that settles, and the build that this makes.
BROKEN = {
    "no fence check": (" AND fence = of_fence", ""),
    "no state guard": (" AND state || '' = 'running'", ""),
    "no crash count": ("crashes = crashes + crashed", "crashes = crashes"),
}

Simulated = tuple[Ledger, SimulatedClock]


@pytest.fixture
def simulated(tmp_path: Path) -> Iterator[Simulated]:
    with simulated_ledger(tmp_path) as made:
        yield made


def test_every_schedule_keeps_what_is_promised(simulated: Simulated) -> None:
    for seed in range(SEEDS):
        if fails(*simulated, schedule_of(seed)):
            pytest.fail(f"seed {seed}: {shortest(*simulated, schedule_of(seed))}")


@pytest.mark.parametrize("build", BROKEN)
def test_a_broken_build_is_found(simulated: Simulated, monkeypatch: pytest.MonkeyPatch, build: str) -> None:
    whole, part = str(settle._SETTLE), BROKEN[build]
    assert part[0] in whole
    monkeypatch.setattr(settle, "_SETTLE", text(whole.replace(*part)))
    assert_found(simulated, looks=True)


def test_a_bell_that_is_lost_with_nobody_looking_is_found(simulated: Simulated) -> None:
    assert_found(simulated, looks=False)


def assert_found(simulated: Simulated, *, looks: bool) -> None:
    failing = next(schedule_of(seed) for seed in range(ENOUGH) if fails(*simulated, schedule_of(seed), looks=looks))
    cut = shortest(*simulated, failing, looks=looks)
    assert len(cut) < 8, cut
    assert fails(*simulated, cut, looks=looks)
