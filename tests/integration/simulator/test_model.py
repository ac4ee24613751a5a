"""The model of claim, settle, rescue, fence, bell and replay: all its states are sound, and the simulator is one of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.model.checker import check
from support.model.model import BROKEN, WORDS
from support.model.traces import KINDS, Witness
from support.simulation.builds import BUILDS
from support.simulation.ledger import simulated_ledger
from support.simulation.schedules import FAMILY, Simulator

pytestmark = pytest.mark.slow

#: Seeds whose steps are compared with the model's, and how many steps of each.
SEEDS, LENGTH = 150, 16


def test_no_state_is_bad_and_none_without_a_way_to_the_end() -> None:
    assert check(misfortunes=1).breach is None


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_configuration_has_a_bad_state(name: str) -> None:
    checked = check(BROKEN[name], misfortunes=1)
    print(checked)
    assert checked.breach is not None


def test_each_step_of_the_simulator_is_one_of_the_model(tmp_path: Path) -> None:
    steps = 0
    with simulated_ledger(tmp_path) as (ledger, clock):
        simulator = Simulator(ledger, clock, KINDS, words=WORDS)
        for seed in range(0, SEEDS * FAMILY, FAMILY):  # of each family one
            witness = Witness()
            played = simulator.draw(seed, LENGTH, witness)
            assert played.breach is None, str(played)
            steps += witness.seen
    assert steps > SEEDS * LENGTH / 2


def test_a_broken_build_takes_steps_that_the_model_has_not(tmp_path: Path) -> None:
    with simulated_ledger(tmp_path) as (ledger, clock):
        broken = Simulator(ledger, clock, KINDS, BUILDS["no crash count"], words=WORDS)
        seeds = range(0, 20 * FAMILY, FAMILY)
        assert any("the model does not lead" in (broken.draw(seed, LENGTH, Witness()).breach or "") for seed in seeds)
