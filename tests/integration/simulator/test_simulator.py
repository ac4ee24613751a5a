"""Seeded schedules of misfortune on a simulated platform: what is promised holds, and of a broken build one is found.

``SIMULATE_SEEDS`` says how many, ``SIMULATE_SEED`` names one; a failure prints its seed and its shortest schedule.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from perdure.ledger import Ledger
from support.simulation.builds import BUILDS, KINDS_OF
from support.simulation.ledger import SimulatedClock, simulated_ledger
from support.simulation.parts import KINDS
from support.simulation.schedules import FAMILY, LENGTH, Simulator
from support.thorough import part_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

SEEDS = int(os.environ.get("SIMULATE_SEEDS") or part_of(40_000))
ONE = os.environ.get("SIMULATE_SEED")
#: Tests that share the seeds, so that all cores do.
PARTS = 1 if ONE else 16
#: Seeds within which a broken build has to be found, and the steps of one that shows with some jobs only.
ENOUGH, LONG = 400, 24

Simulated = tuple[Ledger, SimulatedClock]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    with simulated_ledger(tmp_path_factory.mktemp("simulated")) as made:
        yield made


@pytest.mark.parametrize("part", range(PARTS))
def test_every_schedule_keeps_what_is_promised(simulated: Simulated, part: int) -> None:
    simulator, began = Simulator(*simulated), time.process_time()
    seeds = [int(ONE)] if ONE else range(part * SEEDS // PARTS, (part + 1) * SEEDS // PARTS)
    for seed in seeds:
        if (played := simulator.draw(seed)).breach:
            pytest.fail(str(simulator.shortest(played)), pytrace=False)
    took = time.process_time() - began
    print(f"{len(seeds):,} schedules in {took:.1f} s of CPU time: {len(seeds) / took:,.0f} a second on a core")


@pytest.mark.parametrize("name", BUILDS)
def test_a_broken_build_is_found(simulated: Simulated, name: str) -> None:
    kinds, length = (KINDS_OF[name], LONG) if name in KINDS_OF else (KINDS, LENGTH)
    broken = Simulator(*simulated, kinds, BUILDS[name])
    failing = broken.first_failing(ENOUGH, length)
    assert failing is not None
    # No step of it could be left out, and a whole build does not fail with it.
    assert all(
        broken.play(failing, failing.steps[:place] + failing.steps[place + 1 :]).breach is None
        for place in range(len(failing.steps))
    )
    assert Simulator(*simulated).play(failing, failing.steps).breach is None


def test_a_seed_is_always_the_same_whoever_played_its_beginning(simulated: Simulated) -> None:
    def ids(simulator: Simulator, seed: int) -> tuple[object, ...]:
        played = simulator.draw(seed)
        rows = simulated[0].read(lambda c: c.exec_driver_sql("SELECT * FROM perdure_jobs ORDER BY id").all())
        return played, [tuple(row) for row in rows]

    seeds, simulator = range(2 * FAMILY), Simulator(*simulated)
    together = [ids(simulator, seed) for seed in seeds]
    assert together == [ids(Simulator(*simulated), seed) for seed in seeds]
    assert together[0] != together[FAMILY]
