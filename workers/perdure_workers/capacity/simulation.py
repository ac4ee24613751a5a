"""Discrete-event simulation of one bulkhead: jobs come, wait in line, run, fail and come back.

How an attempt's end is settled, how long a retry waits, whose turn it is and how many a circuit breaker lets through is
decided by the platform's own functions, on a clock that jumps from one event to the next.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

from msgspec.structs import replace

from perdure.ledger.jobs.claim import in_line
from perdure.model.records import Claim
from perdure.model.settlement import Ended, decide
from perdure.model.states import Transition
from perdure.resilience.breaker.admission import admission
from perdure.resilience.breaker.store import LocalStore
from perdure_workers.capacity.load import Load

#: Points of the plotted line.
POINTS = 300
#: Seconds after the last submission in which what is left is worked off, as a multiple of the duration.
PATIENCE = 2.0


class Failed(Exception):
    """What a simulated attempt raises."""


@dataclass
class Outcome:
    """What has come of a load.

    Attributes:
        submitted: Jobs, those of the first backlog included.
        succeeded: Of these.
        dead: Of these, for whom all retries failed.
        attempts: Runs of their functions.
        waits: Seconds that attempts waited from when they could run, in the order of their starts.
        busy: Seconds for which children ran attempts, together.
        seconds: Seconds until the last job ended.
        backlog: How many could run and waited, now and then: moments in seconds, and jobs.
    """

    submitted: int = 0
    succeeded: int = 0
    dead: int = 0
    attempts: int = 0
    waits: list[float] = field(default_factory=list)
    busy: float = 0.0
    seconds: float = 0.0
    backlog: list[tuple[float, int]] = field(default_factory=list)


def simulate(load: Load) -> Outcome:
    """Return what comes of a load."""
    return _Simulation(load).run()


class _Simulation:
    def __init__(self, load: Load) -> None:
        self._load, self._rng = load, random.Random(load.seed)  # noqa: S311 - the same for a seed
        self._now, self._free = 0.0, load.children
        #: What happens next: moment, number (of two at one moment the first goes first), and what.
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._line: list[tuple[tuple[int, float, str], Claim]] = []
        self._numbers = count()
        self._outcome = Outcome()
        self._breaker = LocalStore(load.breaker.numbers, lambda: int(self._now * 1000)) if load.breaker else None
        self._looks_at = -1.0

    def run(self) -> Outcome:
        for _ in range(self._load.backlog):
            self._submit()
        if self._load.rate > 0:
            self._at(self._rng.expovariate(self._load.rate), self._arrive)
        self._at(0.0, self._note_backlog)
        end = self._load.duration * (1 + PATIENCE)
        while self._events and self._events[0][0] <= end:
            self._now, _, happens = heappop(self._events)
            happens()
            self._dispatch()
        return self._outcome

    def _at(self, moment: float, happens: Callable[[], None]) -> None:
        heappush(self._events, (moment, next(self._numbers), happens))

    def _arrive(self) -> None:
        self._submit()
        if (following := self._now + self._rng.expovariate(self._load.rate)) < self._load.duration:
            self._at(following, self._arrive)

    def _submit(self) -> None:
        self._outcome.submitted += 1
        self._wait_in_line(replace(_NEW, job_id=f"{self._outcome.submitted:09}", created_at=self._now))

    def _wait_in_line(self, claim: Claim) -> None:
        queued = replace(claim, queued_at=self._now)
        heappush(self._line, (in_line(queued), queued))

    def _dispatch(self) -> None:
        """Let free children take the first in line, as many as the breaker lets through."""
        most = min(self._free, len(self._line))
        if self._breaker is None or self._load.breaker is None or not most:
            for _ in range(most):
                self._begin()
            return
        now_ms, state = self._breaker.read()
        admitted = admission(self._load.breaker, state, now_ms, most)
        for _ in range(admitted.count):
            self._begin()
        if admitted.count < most and self._looks_at <= self._now:
            self._looks_at = self._now + max(admitted.wait, 1e-3)
            self._at(self._looks_at, lambda: None)

    def _begin(self) -> None:
        _, claim = heappop(self._line)
        decision = self._breaker.enter(f"trial {next(self._numbers)}", 0, "", 0) if self._breaker else None
        if decision is not None and not decision.admitted:
            heappush(self._line, (in_line(claim), claim))
            return
        takes = self._load.takes(self._rng)
        fails = self._load.is_out(self._now) or self._rng.random() < self._load.failures
        begun = replace(claim, attempt=claim.attempt + 1, started_at=self._now)
        self._free -= 1
        self._outcome.attempts += 1
        self._outcome.waits.append(self._now - claim.queued_at)
        of_call = (decision.generation, decision.token) if decision is not None else (0, "")
        self._at(self._now + takes, lambda: self._end(begun, takes, of_call, fails=fails))

    def _end(self, claim: Claim, ran: float, call: tuple[int, str], *, fails: bool) -> None:
        self._free += 1
        self._outcome.busy += ran
        if self._breaker:
            self._breaker.record(call[1], call[0], "f" if fails else "s")
        ended = Ended(error=Failed("simulated") if fails else None, ran=ran)
        settlement = decide(ended, claim, self._load.retry, self._rng)
        if settlement.transition is Transition.RETRY:
            self._at(self._now + (settlement.delay or 0.0), lambda: self._wait_in_line(claim))
            return
        self._outcome.seconds = self._now
        self._outcome.succeeded += settlement.transition is Transition.SUCCEED
        self._outcome.dead += settlement.transition is Transition.DIE

    def _note_backlog(self) -> None:
        self._outcome.backlog.append((self._now, len(self._line)))
        outcome = self._outcome
        if self._now < self._load.duration or outcome.succeeded + outcome.dead < outcome.submitted:
            self._at(self._now + self._load.duration / POINTS, self._note_backlog)


_NEW = Claim(
    job_id="", fence=0, task="simulated", bulkhead="simulated", args="[]", kwargs="{}", attempt=0, crashes=0, snoozes=0,
    priority=5, idempotency_key=None, replay_of=None, tags=None, worker_name="", worker_pid=0, created_at=0.0,
    queued_at=0.0, started_at=0.0, first_started_at=0.0, deadline=None, timeout=None, checkpoint_seq=0,
)  # fmt: skip
