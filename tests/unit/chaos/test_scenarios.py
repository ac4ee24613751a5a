"""Scenarios are data that fit the faults, and a seed repeats them."""

from __future__ import annotations

import inspect

import pytest

from perdure.errors import InvalidArguments
from perdure_workers.chaos.faults import FAULTS, FROM_OUTSIDE
from perdure_workers.chaos.scenario import Scenario, chosen, chosen_from_outside, scenarios


@pytest.mark.parametrize("scenario", scenarios().values(), ids=lambda scenario: scenario.name)
def test_faults_are_known_and_take_what_they_are_given(scenario: Scenario) -> None:
    for fault in scenario.plan(1, 20, scenario.ledgers[-1]):
        inspect.signature(FAULTS[fault.do]).bind("bench", **fault.given)
        assert 0 <= fault.at < 1
        assert fault.at + fault.lasts <= 1.1


def test_each_fault_is_in_a_scenario_that_is_not_left_to_chance() -> None:
    assert {fault.do for each in scenarios().values() if each.name != "random" for fault in each.faults} == set(FAULTS)


def test_a_seed_repeats_a_random_mix() -> None:
    mix = scenarios()["random"]
    assert mix.plan(7, 60, "sqlite") == mix.plan(7, 60, "sqlite") != mix.plan(8, 60, "sqlite")
    assert len(mix.plan(7, 60, "sqlite")) == 20


def test_a_running_platform_meets_what_can_be_done_from_outside() -> None:
    possible = {fault.do for scenario in chosen_from_outside("all") for fault in scenario.faults}
    assert possible == FROM_OUTSIDE
    [mix] = chosen_from_outside("random")
    assert {fault.do for fault in mix.faults} < FROM_OUTSIDE


def test_a_random_mix_has_the_faults_of_its_ledger() -> None:
    drawn = {
        ledger: {fault.do for fault in scenarios()["random"].plan(1, 600, ledger)} for ledger in ("sqlite", "postgresql")
    }
    assert {"postgres-killed", "postgres-restarted", "postgres-connections-cut"} <= drawn["postgresql"] - drawn["sqlite"]
    assert "sqlite-locked" in drawn["sqlite"] - drawn["postgresql"]


def test_a_scenario_that_is_not_there_or_for_another_ledger_is_refused() -> None:
    with pytest.raises(InvalidArguments, match="Did you mean 'worker-killed'"):
        chosen("worker-kiled", "sqlite")
    with pytest.raises(InvalidArguments, match="--ledger postgresql"):
        chosen("postgres-killed", "sqlite")
    with pytest.raises(InvalidArguments, match=r"With --running: child-killed, .*redis-flushed"):
        chosen_from_outside("redis-killed")
    assert {scenario.name for scenario in chosen("all", "sqlite")} & {"postgres-killed", "sqlite-locked"} == {
        "sqlite-locked"
    }
