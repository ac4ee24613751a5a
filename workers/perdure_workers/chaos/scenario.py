"""Scenarios: what is done to a platform, and when. They are data, in ``scenarios.toml``."""

from __future__ import annotations

import random
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from perdure.errors import InvalidArguments, did_you_mean
from perdure_workers.chaos.cluster import LedgerKind

FILE = Path(__file__).with_name("scenarios.toml")
#: The scenario whose faults are drawn anew by each seed.
RANDOM = "random"
#: Seconds between two faults of a random mix, on average.
_PACE_S = 3.0


class Planned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fault that is to happen.

    Attributes:
        do: The fault's name.
        at: When it begins, as a share of the scenario's duration.
        lasts: How long it lasts, as a share of the duration; 0 for what happens at once.
        given: What else the fault is told.
    """

    do: str
    at: float = 0.0
    lasts: float = 0.0
    given: dict[str, Any] = {}

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
    ledgers: tuple[LedgerKind, ...] = ("sqlite", "postgresql")
    flower: bool = False
    name: str = ""

    def plan(self, seed: int, duration: float) -> list[Planned]:
        """Return the faults, in order of time.

        Args:
            seed: What decides of a random mix.
            duration: Seconds that the scenario takes.
        """
        if self.name != RANDOM:
            return sorted(self.faults, key=lambda fault: fault.at)
        rng = random.Random(seed)  # noqa: S311 - misfortune, no secret
        count = max(3, round(duration / _PACE_S))
        times = sorted(rng.uniform(0.0, 0.9) for _ in range(count))
        drawn = [rng.choice(self.faults) for _ in range(count)]
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
    if name not in known:
        hint = did_you_mean(name, known)
        raise InvalidArguments(f"no scenario {name!r}.{hint} `perdure chaos list` shows all of them")
    if ledger not in known[name].ledgers:
        raise InvalidArguments(
            f"scenario {name!r} is for a ledger on {known[name].ledgers[0]}: --ledger {known[name].ledgers[0]}"
        )
    return [known[name]]
