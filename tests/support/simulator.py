"""Seeded schedules of claims, bells, crashes and settlements on the real ledger's statements, under a simulated clock.

One process plays submitters, workers and supervisors, one step after the other; so a schedule that fails once always
fails, and can be cut down to the steps that matter.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import event

from perdure.errors import LeaseLost
from perdure.ledger import Ledger
from perdure.ledger.jobs.claim import Claimer
from perdure.model.ids import new_id
from perdure.model.lanes import PLAIN
from perdure.model.records import Claim, NewJob, Settlement
from perdure.model.retry_policy import RetryPolicy
from perdure.model.settlement import Ended, decide, handed_back, lost
from support.cluster import Effect
from support.invariants import check_checkpoints, check_fences, check_outcomes, check_side_by_side

#: A step and the worker that takes it.
Step = tuple[str, int]
STEPS = ("submit", "take", "take", "save", "finish", "drain", "kill", "stall", "lose answer", "lose bells", "look")
WORKERS = 3
LENGTH = 24
#: No job of a schedule dies of the platform's faults.
MOST = LENGTH + 1
#: Rounds in which everything has to end once nothing more happens.
ROUNDS = LENGTH + 2


class SimulatedClock:
    """The ledger's clock; each step takes a second."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def julianday(self, *_: Any) -> float:
        """Stand in for SQLite's function of this name, by which the ledger's statements tell the time."""
        return self.now / 86400.0 + 2440587.5


@contextlib.contextmanager
def simulated_ledger(folder: Path) -> Iterator[tuple[Ledger, SimulatedClock]]:
    """Yield a real ledger in a folder, which lives by a simulated clock."""
    ledger, clock = Ledger(f"sqlite:///{folder}/simulated.db"), SimulatedClock()
    ledger.upgrade()
    ledger.close()
    event.listen(ledger.database.engine, "connect", lambda raw, _: raw.create_function("julianday", -1, clock.julianday))
    yield ledger, clock
    ledger.close()


@dataclass
class World:
    """A platform in one process: its ledger is real, its broker a number of bells."""

    ledger: Ledger
    clock: SimulatedClock
    looks: bool = True
    bells: int = 0
    jobs: list[str] = field(default_factory=list)
    effects: dict[str, list[Effect]] = field(default_factory=dict)
    held: dict[int, Claim] = field(default_factory=dict)
    bulkhead: str = field(default_factory=new_id)
    lives: int = 0

    def run(self, schedule: Sequence[Step]) -> None:
        """Take all steps, let what is left end in peace, and check what is promised."""
        for step in schedule:
            self.take_step(step)
        self.calm_down()
        self.check()

    def take_step(self, step: Step) -> None:
        what, worker = step
        self.clock.now += 1.0
        if what in _ALONE:
            _ALONE[what](self)
        elif what == "take":
            self.take(worker)
        elif worker in self.held:
            _HOLDING[what](self, worker, self.held[worker])

    def submit(self) -> None:
        [submitted] = self.ledger.jobs.submit([NewJob(new_id(), "t", self.bulkhead, "[]", "{}", "d")])
        self.jobs.append(submitted.id)
        self.effects[submitted.id] = []
        self.bells += 1

    def look(self) -> None:
        if self.looks:
            self.bells = self.ledger.jobs.depth(self.bulkhead, 100)

    def lose_bells(self) -> None:
        self.bells = 0

    def take(self, worker: int) -> None:
        if worker in self.held or not self.bells:
            return
        self.bells -= 1
        self.lives += 1
        for claim in self.ledger.jobs.claim(Claimer(self.bulkhead, f"w{worker}", "w", self.lives, ("t",)), 1, PLAIN):
            self.held[worker] = claim
            self._write(claim, f"start:{self._saved(claim)}")

    def save(self, worker: int, claim: Claim) -> None:
        try:
            seq, _ = self.ledger.running.save_checkpoint(claim.job_id, claim.fence, "main", b"1", self._saved(claim))
        except LeaseLost:
            del self.held[worker]
        else:
            self._write(claim, f"saved:{seq}")

    def finish(self, worker: int, claim: Claim) -> None:
        self._write(claim, "end")
        self._settle(claim, decide(Ended(result="1"), claim, RetryPolicy()))
        del self.held[worker]

    def drain(self, worker: int, claim: Claim) -> None:
        self._settle(claim, handed_back(claim, 0, MOST, "drained"))
        del self.held[worker]

    def kill(self, worker: int, claim: Claim) -> None:
        self.stall(worker, claim)
        del self.held[worker]

    def stall(self, _worker: int, claim: Claim) -> None:
        """Take the lease of a worker that does not know it yet, and goes on."""
        self._settle(claim, lost(claim, MOST, "missed heartbeats"))

    def lose_answer(self, worker: int, claim: Claim) -> None:
        """Settle, and die before the answer arrives: the supervisor, which saw the job run, takes it back."""
        self.finish(worker, claim)
        self._settle(claim, lost(claim, MOST, "killed"))

    def calm_down(self) -> None:
        for worker, claim in list(self.held.items()):
            self.finish(worker, claim)
        for _ in range(ROUNDS):
            self.clock.now += 1.0
            self.look()
            self.take(0)
            if 0 in self.held:
                self.finish(0, self.held[0])

    def check(self) -> None:
        for job in self.jobs:
            record, attempts = self.ledger.jobs.get(job), self.ledger.jobs.attempts(job)
            assert record.state == "succeeded"
            outcomes = [str(attempt.outcome) for attempt in attempts]
            check_outcomes(outcomes)
            assert record.crashes == outcomes.count("crashed")
            by_fence = {attempt.number: str(attempt.outcome) for attempt in attempts}
            check_fences(self.effects[job], by_fence)
            check_side_by_side(self.effects[job], by_fence)
            check_checkpoints(self.effects[job])

    def _settle(self, claim: Claim, settlement: Settlement) -> None:
        with contextlib.suppress(LeaseLost):
            self.ledger.jobs.settle(claim, settlement)
            self.bells += settlement.outcome != "succeeded"

    def _saved(self, claim: Claim) -> int:
        return self.ledger.jobs.get(claim.job_id).checkpoint_seq

    def _write(self, claim: Claim, what: str) -> None:
        self.effects[claim.job_id].append(Effect(what, claim.attempt, claim.fence, claim.worker_pid, self.clock.now))


_ALONE = {"submit": World.submit, "look": World.look, "lose bells": World.lose_bells}
_HOLDING = {
    "save": World.save,
    "finish": World.finish,
    "drain": World.drain,
    "kill": World.kill,
    "stall": World.stall,
    "lose answer": World.lose_answer,
}


def schedule_of(seed: int) -> list[Step]:
    """Return the schedule that a seed stands for."""
    rng = random.Random(seed)
    return [("submit", 0), *((rng.choice(STEPS), rng.randrange(WORKERS)) for _ in range(LENGTH))]


def fails(ledger: Ledger, clock: SimulatedClock, schedule: Sequence[Step], *, looks: bool = True) -> bool:
    """Return whether a schedule breaks a promise."""
    try:
        World(ledger, clock, looks).run(schedule)
    except AssertionError:
        return True
    return False


def shortest(ledger: Ledger, clock: SimulatedClock, schedule: list[Step], *, looks: bool = True) -> list[Step]:
    """Return a failing schedule without the steps that it fails without as well."""
    place = 0
    while place < len(schedule):
        without = schedule[:place] + schedule[place + 1 :]
        if fails(ledger, clock, without, looks=looks):
            schedule, place = without, 0
        else:
            place += 1
    return schedule
