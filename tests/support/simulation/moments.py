"""Moments of a world to which one can go back, so that schedules that begin alike share their beginning.

What a world has in Python is copied by :mod:`pickle`, but for what never changes; what it has in the ledger is a savepoint
of the transaction in which all of it happens.
"""

from __future__ import annotations

import io
import pickle
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from perdure.ledger import Ledger
from perdure.model.records import Claim, Settlement
from perdure.model.task_spec import TaskSpec
from perdure.resilience.breaker.config import MachineConfig
from perdure.running.checkpoint_storage import Storage
from perdure.settings.settings import Settings
from perdure.stores.record import CheckpointRecord
from support.cluster import Effect
from support.simulation.ledger import SimulatedClock, sqlite_of
from support.simulation.world import World

#: What all copies of a world share.
_SHARED = frozenset(
    {
        *(Ledger, SimulatedClock, Storage, Settings, TaskSpec, MachineConfig, FunctionType, type(threading.Lock())),
        *(Claim, Settlement, CheckpointRecord, Effect),
    }
)


class _Writer(pickle.Pickler):
    """Writes a world, and a place in a list for what is shared."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.shared: list[Any] = []

    def persistent_id(self, of: Any) -> int | None:
        if type(of) not in _SHARED:
            return None
        self.shared.append(of)
        return len(self.shared) - 1


class _Reader(pickle.Unpickler):
    def __init__(self, written: bytes, shared: list[Any]) -> None:
        super().__init__(io.BytesIO(written))
        self._shared = shared

    def persistent_load(self, place: int) -> Any:
        return self._shared[place]


@dataclass(frozen=True)
class Leg:
    """A part of a schedule: what is drawn by a number, up to so many steps from the beginning."""

    number: int
    end: int


class Beginnings:
    """How the schedule that was played last began: the world after each of its first legs.

    Args:
        clock: The clock of the simulated ledger: when another schedule has begun there, nothing is known any more.
    """

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock, self._life = clock, 0
        self._legs: list[Leg] = []
        self._moments: list[_Moment] = []

    def known(self, legs: Sequence[Leg]) -> int:
        """Return how many of the first legs of a schedule need not be played, and forget what comes behind them."""
        if self._life != self._clock.life:
            self.forget()
        while self._legs != list(legs[: len(self._legs)]):
            self._legs.pop()
            self._moments.pop().leave()
        return len(self._legs)

    def keep(self, leg: Leg, world: World) -> None:
        """Remember a world after the next leg."""
        self._life = self._clock.life
        self._legs.append(leg)
        self._moments.append(_Moment(world))

    def last(self) -> World:
        """Go back to the world after the last leg that is known."""
        return self._moments[-1].back()

    def forget(self) -> None:
        """Forget all, as the ledger does."""
        self._legs, self._moments = [], []


class _Moment:
    """A world as it is now."""

    def __init__(self, world: World) -> None:
        file = io.BytesIO()
        writer = _Writer(file)
        writer.dump(world)
        self._written, self._shared = file.getvalue(), writer.shared
        self._clock, self._time = world.clock, world.clock.state()
        self._sqlite = sqlite_of(world.ledger)
        self._sqlite.execute("SAVEPOINT moment")

    def back(self) -> World:
        """Return a copy of the world, and have its ledger and its clock as they were."""
        self._sqlite.execute("ROLLBACK TO moment")
        self._clock.go_back(self._time)
        world: World = _Reader(self._written, self._shared).load()
        return world

    def leave(self) -> None:
        """Go back to it no more."""
        self._sqlite.execute("ROLLBACK TO moment")
        self._sqlite.execute("RELEASE moment")
