"""Schedules: drawn from a seed, played, and cut down to the steps that matter."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import prod

from perdure.ledger import Ledger
from perdure.model.states import FINAL_STATES
from support.simulation.ledger import SimulatedClock, empty
from support.simulation.moments import Beginnings, Leg
from support.simulation.parts import KINDS
from support.simulation.promises import check_end, check_now
from support.simulation.world import STEPS, Step, World

#: Steps of a schedule, before everything calms down.
LENGTH = 12
#: After which part of its steps a schedule is forked, and in how many ways it goes on: seeds that are next to each other
#: share what comes before, which is played once. More and later forks cost less, and find less: with a third one after five
#: sixths of the steps it took 1.6 times as many schedules to find the broken builds.
FORKS = ((0.34, 4), (0.67, 4))
#: Seeds that begin alike.
FAMILY = prod(ways for _, ways in FORKS)
#: How many of the misfortunes a seed has, of all.
SHARE = 0.4
#: How often a step of a job's way is drawn when it can be taken.
WORK = {
    "submit": 3,
    "take": 8,
    "ahead": 3,
    "begin": 12,
    "save": 8,
    "return": 2,
    "raise": 4,
    "settle": 5,
    "look": 6,
    "wait": 2,
    "start": 4,
    "expire": 6,
    "replay": 8,
    "store": 6,
}
#: Likewise of what happens to it. Each seed has some of these only.
MISFORTUNES = {
    "cancel": 2,
    "lose bells": 2,
    "forge bell": 1,
    "forge message": 0.3,
    "lose answer": 4,
    "crash": 3,
    "die": 2,
    "freeze": 5,
    "drain": 2,
}

#: Breaks what it patches, and the world that it is given.
Build = Callable[[ExitStack, World], object]
#: Sees the world before and after a step.
Witness = Callable[[World, Step], object]


@dataclass
class Played:
    """What became of a schedule.

    Attributes:
        seed: Its seed: of ids and jitter, and of the steps that were drawn.
        kinds: The kinds of its jobs, by number.
        steps: The steps that were taken.
        breach: What was promised and does not hold; None when all does.
    """

    seed: int
    kinds: tuple[str, ...]
    steps: list[Step] = field(default_factory=list)
    breach: str | None = None

    def __str__(self) -> str:
        lines = (f"  {number:2}. {what} {who}" for number, (what, who) in enumerate(self.steps, 1))
        return "\n".join(
            [f"seed {self.seed}, {' and '.join(self.kinds)} jobs: {self.breach or 'all promises hold'}", *lines]
        )


class Simulator:
    """Plays schedules on one ledger.

    Args:
        ledger: A simulated ledger; see :func:`simulated_ledger`.
        clock: Its clock.
        kinds: Kinds of jobs.
        build: Makes a broken build of the platform.
        words: Steps that are drawn; all by default.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: SimulatedClock,
        kinds: Sequence[str] = KINDS,
        build: Build = lambda *_: None,
        words: Collection[str] = tuple(STEPS),
    ) -> None:
        self._ledger, self._clock, self._kinds, self._build = ledger, clock, kinds, build
        self._words = set(words)
        self._beginnings = Beginnings(clock)

    def draw(self, seed: int, length: int = LENGTH, witness: Witness | None = None) -> Played:
        """Play as many steps as a seed draws from those that can be taken.

        It has a few kinds of jobs, and each of its legs a few kinds of misfortunes: schedules in which all of them mix are
        all alike (Groce and others, "Swarm testing", 2012).

        Args:
            seed: The seed.
            length: How many steps.
            witness: Sees each of them; without one those are not played again that the seed before had as well.
        """
        family = random.Random(seed // FAMILY)
        kinds = family.sample(self._kinds, min(len(self._kinds), family.randint(1, 2)))
        legs = _legs(seed, length)
        known = 0 if witness else self._beginnings.known(legs)

        def walk(world: World) -> None:
            for leg in legs[known:]:
                chance = random.Random(leg.number * length + leg.end)
                some = {word: weight for word, weight in MISFORTUNES.items() if chance.random() < SHARE}
                weights = {word: weight for word, weight in (WORK | some).items() if word in self._words}
                while len(world.steps) < leg.end and (step := world.drawn(weights, chance)) is not None:
                    self._take(world, step, witness)
                if not witness and leg is not legs[-1]:
                    self._beginnings.keep(leg, world)

        played = Played(seed, tuple(kinds))
        return self._play(played, self._beginnings.last() if known else self._world(played), walk)

    def play(self, of: Played, steps: Sequence[Step]) -> Played:
        """Play given steps with the seed and kinds of another schedule; those that cannot be taken are left out."""

        def walk(world: World) -> None:
            for step in steps:
                self._take(world, step)

        played = Played(of.seed, of.kinds)
        return self._play(played, self._world(played), walk)

    def shortest(self, failing: Played) -> Played:
        """Return a failing schedule without the steps without which it fails as well.

        Delta debugging: ever smaller stretches are left out, until no single step can be (Zeller and Hildebrandt,
        "Simplifying and isolating failure-inducing input", 2002).
        """
        while True:
            before, size = len(failing.steps), len(failing.steps) // 2
            while size:
                failing = self._without(failing, size)
                size //= 2
            if len(failing.steps) == before:
                return failing

    def _without(self, failing: Played, size: int) -> Played:
        """Leave out every stretch of a size without which a schedule fails as well."""
        place = 0
        while place < len(failing.steps):
            tried = self.play(failing, failing.steps[:place] + failing.steps[place + size :])
            if tried.breach is None or len(tried.steps) >= len(failing.steps):
                place += 1
            else:
                failing = tried
        return failing

    def first_failing(self, seeds: int, length: int = LENGTH) -> Played | None:
        """Return the shortest schedule of the first of so many seeds that fails."""
        failing = next((played for seed in range(seeds) if (played := self.draw(seed, length)).breach), None)
        return None if failing is None else self.shortest(failing)

    def _world(self, of: Played) -> World:
        """Begin anew."""
        self._beginnings.forget()
        empty(self._ledger)
        self._clock.begin(of.seed // FAMILY)
        return World(self._ledger, self._clock, of.kinds)

    def _play(self, played: Played, world: World, walk: Callable[[World], None]) -> Played:
        with ExitStack() as patches:
            patches.callback(self._ledger.events.subscribe(world.over, FINAL_STATES))
            self._build(patches, world)
            try:
                walk(world)
                world.calm_down()
                check_now(world)
                check_end(world)
            except AssertionError as error:
                played.breach = str(error).split("\nassert")[0] or repr(error)
        played.steps = world.steps
        return played

    def _take(self, world: World, step: Step, witness: Witness | None = None) -> None:
        if world.take(step):
            check_now(world)
            if witness is not None:
                witness(world, step)


def _legs(seed: int, length: int) -> list[Leg]:
    """Return the legs of a seed's schedule: each but the last is one of other seeds of its family too."""
    legs, alike = [], FAMILY
    for part, ways in FORKS:
        legs.append(Leg(seed // alike, int(length * part)))
        alike //= ways
    return [*legs, Leg(seed, length)]
