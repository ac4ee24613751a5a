"""Schedules: drawn from a seed, played, and cut down to the steps that matter."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from perdure.ledger import Ledger
from perdure.model.states import FINAL_STATES
from support.simulation.ledger import SimulatedClock, empty
from support.simulation.parts import KINDS
from support.simulation.promises import check_end, check_now
from support.simulation.world import STEPS, Step, World

#: Steps of a schedule, before everything calms down.
LENGTH = 12
#: How many of the misfortunes a seed has, of all.
SHARE = 0.4
#: How often a step of a job's way is drawn when it can be taken.
WORK = {
    "submit": 3,
    "take": 8,
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

    def draw(self, seed: int, length: int = LENGTH, witness: Witness = lambda *_: None) -> Played:
        """Play as many steps as a seed draws from those that can be taken.

        A seed has a few kinds of jobs and of misfortunes: schedules in which all of them mix are all alike (Groce and
        others, "Swarm testing", 2012).
        """
        rng = random.Random(seed)
        kinds = rng.sample(self._kinds, min(len(self._kinds), rng.randint(1, 2)))
        some = {word: weight for word, weight in MISFORTUNES.items() if rng.random() < SHARE}
        weights = {word: weight for word, weight in (WORK | some).items() if word in self._words}

        def steps(world: World) -> Step | None:
            if len(played.steps) == length:
                return None
            return world.drawn(weights, rng)

        played = Played(seed, tuple(kinds))
        return self._play(played, steps, witness)

    def play(self, of: Played, steps: Sequence[Step]) -> Played:
        """Play given steps with the seed and kinds of another schedule; those that cannot be taken are left out."""
        rest = iter(steps)
        return self._play(Played(of.seed, of.kinds), lambda _: next(rest, None), lambda *_: None)

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

    def _play(self, played: Played, steps: Callable[[World], Step | None], witness: Witness) -> Played:
        empty(self._ledger)
        self._clock.begin(played.seed)
        world = World(self._ledger, self._clock, played.kinds)
        patches = ExitStack()
        patches.callback(self._ledger.events.subscribe(world.over, FINAL_STATES))
        try:
            self._build(patches, world)
            while (step := steps(world)) is not None:
                if world.take(step):
                    played.steps.append(step)
                    check_now(world)
                    witness(world, step)
            world.calm_down()
            check_now(world)
            check_end(world)
        except AssertionError as error:
            played.breach = str(error).split("\nassert")[0] or repr(error)
        finally:
            patches.close()
        return played
