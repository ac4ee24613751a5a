"""Scenarios: what is done to a platform, and when. They are data, in ``scenarios.toml``."""

from __future__ import annotations

import random
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from perdure.errors import InvalidArguments, did_you_mean
from perdure_workers.chaos.faults import FROM_OUTSIDE
from perdure_workers.chaos.platforms import LedgerKind

FILE = Path(__file__).with_name("scenarios.toml")
#: The scenario whose faults are drawn anew by each seed.
RANDOM = "random"
#: Seconds between two faults of a random mix, on average.
_PACE_S = 3.0
LEDGERS: tuple[LedgerKind, ...] = ("sqlite", "postgresql")


class Planned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fault that is to happen.

    Attributes:
        do: The fault's name.
        at: When it begins, as a share of the scenario's duration.
        lasts: How long it lasts, as a share of the duration; 0 for what happens at once.
        given: What else the fault is told.
        ledgers: In a random mix: the kinds of ledger for which it is drawn.
    """

    do: str
    at: float = 0.0
    lasts: float = 0.0
    given: dict[str, Any] = {}
    ledgers: tuple[LedgerKind, ...] = LEDGERS

    @property
    def name(self) -> str:
        """What people call it."""
        return " ".join([self.do, *(f"{value}" for value in self.given.values() if isinstance(value, str))])


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is done to a platform.

    Attributes:
        what: In one sentence.
        faults: In order of time. Of the random one: what is drawn from.
        ledgers: The kinds of ledger for which it is meant.
        flower: Whether Flower runs besides.
        name: Its name.
    """

    what: str
    faults: tuple[Planned, ...]
    ledgers: tuple[LedgerKind, ...] = LEDGERS
    flower: bool = False
    name: str = ""

    @property
    def is_from_outside(self) -> bool:
        """Whether all of it can be done to a platform that somebody else runs."""
        return all(fault.do in FROM_OUTSIDE for fault in self.faults)

    def plan(self, seed: int, duration: float, ledger: LedgerKind) -> list[Planned]:
        """Return the faults, in order of time.

        Args:
            seed: What decides of a random mix.
            duration: Seconds that the scenario takes.
            ledger: The kind of the ledger's database.
        """
        if self.name != RANDOM:
            return sorted(self.faults, key=lambda fault: fault.at)
        rng = random.Random(seed)  # noqa: S311 - misfortune, no secret
        count = max(3, round(duration / _PACE_S))
        times = sorted(rng.uniform(0.0, 0.9) for _ in range(count))
        pool = [fault for fault in self.faults if ledger in fault.ledgers]
        drawn = [rng.choice(pool) for _ in range(count)]
        return [msgspec.structs.replace(fault, at=at) for fault, at in zip(drawn, times, strict=True)]


def scenarios() -> dict[str, Scenario]:
    """Return all scenarios by name."""
    tables = tomllib.loads(FILE.read_text())
    return {name: msgspec.structs.replace(msgspec.convert(table, Scenario), name=name) for name, table in tables.items()}


def chosen(name: str, ledger: LedgerKind) -> list[Scenario]:
    """Return the scenario of a name, or with ``all`` all that a kind of ledger has.

    Raises:
        InvalidArguments: There is none of that name, or it is for another kind of ledger.
    """
    known = scenarios()
    if name == "all":
        return [scenario for scenario in known.values() if ledger in scenario.ledgers]
    scenario = _named(name, known)
    if ledger not in scenario.ledgers:
        raise InvalidArguments(
            f"scenario {name!r} is for a ledger on {scenario.ledgers[0]}: --ledger {scenario.ledgers[0]}"
        )
    return [scenario]


def chosen_from_outside(name: str) -> list[Scenario]:
    """Return the scenario of a name, or with ``all`` all that can be done to a platform that somebody else runs.

    Of the random mix what can be done is left.

    Raises:
        InvalidArguments: There is none of that name, or it cannot be done from outside.
    """
    known = scenarios()
    possible = tuple(fault for fault in known[RANDOM].faults if fault.do in FROM_OUTSIDE)
    known[RANDOM] = msgspec.structs.replace(known[RANDOM], faults=possible)
    if name == "all":
        return [scenario for scenario in known.values() if scenario.is_from_outside]
    scenario = _named(name, known)
    if not scenario.is_from_outside:
        able = ", ".join(each.name for each in known.values() if each.is_from_outside)
        raise InvalidArguments(f"scenario {name!r} needs servers and processes of the lab's own. With --running: {able}")
    return [scenario]


def _named(name: str, known: dict[str, Scenario]) -> Scenario:
    if name not in known:
        raise InvalidArguments(f"no scenario {name!r}.{did_you_mean(name, known)} `perdure chaos list` shows all of them")
    return known[name]
