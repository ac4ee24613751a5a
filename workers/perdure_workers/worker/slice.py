"""A slice: the jobs that a child has claimed at once. It runs them one after another and settles them together.

Nobody waits for a long job: when one takes longer than the slice's time, what ended before it is settled, and what comes
after it is given back, both at once and by a thread of its own. Behind a long job whose end is foreseen that thread claims
the next one shortly before, and settles the one while the other runs: the child goes on at once.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from perdure.model.records import Claim
from perdure_workers.worker.execute import Attempt

#: Seconds that a slice takes: what is settled waits that long for company, and nothing waits longer in a child's hands.
BUDGET = 0.02
#: Seconds before the expected end of a job at which the next one is claimed: several times what a claim takes, and so that
#: the job may end as much later before the next one has waited for its time.
LEAD = BUDGET / 2
#: Seconds that a job takes, at most, behind which the next one is claimed ahead; for others what is gained is little. And
#: seconds that this claim may take. Both together are over before the overseer gives back what a child holds behind a job
#: that runs for a second: what was given back so is not begun.
LONGEST = 0.4
#: Jobs of a slice, at most: with twice as many a child keeps 0.6 MB more, and drains are hardly faster.
MOST = 100
#: Seconds for which a slice's keeper rests when letting go has failed.
REST = 0.5
#: By how much a slice may be larger than the one before.
GROWTH = 4

Ended = tuple[Claim, Attempt]
#: Settles what ended and gives back the rest; may return what it has claimed along with that.
Settle = Callable[[Sequence[Ended], Sequence[Claim]], Sequence[Claim] | None]
#: Claims the next job while one runs; returns nothing where that is not possible.
Ahead = Callable[[Claim], Sequence[Claim]]
_NEVER = math.inf


class SliceSize:
    """How many jobs a slice has: as many as begin within its time, by how long those before took."""

    def __init__(self) -> None:
        self._most = 1

    def __call__(self) -> int:
        """Return how many jobs to claim."""
        return self._most

    def learn(self, jobs: int, took: float) -> None:
        """Take note of how many seconds so many jobs took."""
        begin = math.ceil(BUDGET / max(took / jobs, 1e-6))
        self._most = min(begin, self._most * GROWTH, MOST)


class Slice:
    """The jobs that a child holds. Thread-safe.

    Args:
        claims: The jobs, in line.
        settle: Settles what ended and gives back what was not begun; does not return before that is in the ledger.
        until: The moment from which none is begun any more, on the monotonic clock: a process that was stopped for so long
            has lost its lease, and somebody else may have them.
        ahead: Claims the next job behind the one that it is given.
    """

    def __init__(self, claims: Sequence[Claim], settle: Settle, until: float, ahead: Ahead = lambda _: ()) -> None:
        self._rest = deque(claims)
        self._ended: list[Ended] = []
        #: What leaves: it stays here until the ledger has it.
        self._to_settle: list[Ended] = []
        self._to_release: list[Claim] = []
        self._settle, self._ahead = settle, ahead
        self._lock = threading.Lock()
        #: Whose turn it is at the ledger.
        self._turn = threading.Lock()
        self._until = until
        self._claimed_at = time.monotonic()
        self._ends_at = self._late_at = self._claimed_at + BUDGET
        #: The job that runs, and when to claim the next one behind it.
        self._runs: Claim | None = None
        self._ahead_at = _NEVER
        self.begun = 0

    def next(self) -> Claim | None:
        """Return the job to run now, begun at this moment; None when there is none or the slice's time is over.

        Waits for a job that is being claimed ahead.
        """
        with self._turn, self._lock:
            moment = time.monotonic()
            if not self._rest or moment > (self._ends_at if self.begun else self._until):
                return None
            self.begun += 1
            claim = self._rest.popleft()
            return replace(claim, started_at=claim.started_at + moment - self._claimed_at)

    def expect(self, claim: Claim, seconds: float) -> bool:
        """Have what ended settled now, and the next job claimed shortly before the one ends that was begun last.

        Args:
            claim: That job.
            seconds: How long it is expected to take.

        Returns:
            Whether that will be so: not while others wait in the slice.
        """
        with self._lock:
            if self._rest:
                return False
            self._late_at = time.monotonic()
            self._runs, self._ahead_at = claim, self._late_at + seconds - LEAD
            return True

    def add(self, claim: Claim, attempt: Attempt) -> None:
        """Take note of how a job ended."""
        with self._lock:
            if not self._ended:
                self._late_at = time.monotonic() + BUDGET
            self._ended.append((claim, attempt))
            self._ahead_at = _NEVER

    def due_at(self) -> float:
        """Return the moment at which something is to be done while a job runs, on the monotonic clock."""
        with self._lock:
            return min(self._late(), self._ahead_at)

    def _late(self) -> float:
        """Return when something has waited for its time: a job to be begun, or an outcome."""
        if self._rest or self._to_release:
            return self._ends_at
        return self._late_at if self._ended or self._to_settle else _NEVER

    def keep(self) -> None:
        """Do what is due: let go of what has waited for its time, or claim the next job."""
        with self._turn:
            with self._lock:
                is_late = self._late() <= time.monotonic()
            if is_late:
                self._let_go(self._settle)
            else:
                self._claim_ahead()

    def let_go(self, settle: Settle | None = None) -> Sequence[Claim] | None:
        """Settle what ended and give back what was not begun. What fails is tried again the next time, and not run.

        Args:
            settle: Does so in place of what the slice was given.

        Returns:
            What ``settle`` has claimed; None where it was not called.
        """
        with self._turn:
            with self._lock:
                self._ahead_at = _NEVER
            return self._let_go(settle or self._settle)

    def _let_go(self, settle: Settle) -> Sequence[Claim] | None:
        with self._lock:
            self._to_settle += self._ended
            self._to_release += self._rest
            self._ended, self._rest = [], deque()
        if not (self._to_settle or self._to_release):
            return None
        claims = settle(self._to_settle, self._to_release)
        self._to_settle, self._to_release = [], []
        return claims

    def _claim_ahead(self) -> None:
        """Claim the next job behind the one that runs, once for each; the slice's time begins anew with it."""
        with self._lock:
            runs, ahead_at, asked_at = self._runs, self._ahead_at, time.monotonic()
            if runs is None or asked_at < ahead_at:
                return
            self._ahead_at = _NEVER
        if asked_at > ahead_at + LEAD:
            return  # as when the job holds Python's lock: it takes longer than was expected
        claims = self._ahead(runs)
        with self._lock:
            self._claimed_at = time.monotonic()
            # Who waits for it begins it at once. It goes back if the ledger's clock went back: by the moments of its claims
            # others know what a child has begun.
            is_awaited = self._ended and self._claimed_at - asked_at < LONGEST
            self._ends_at = (self._claimed_at if is_awaited else asked_at) + BUDGET
            if any(claim.started_at <= runs.started_at for claim in claims):
                self._ends_at = -_NEVER
            self._rest.extend(claims)


class SliceKeeper:
    """A thread that does for a slice what is due while a job runs, and is woken only for what is due before it wakes."""

    def __init__(self, on_error: Callable[[], object]) -> None:
        self._slice: Slice | None = None
        self._woken = threading.Event()
        self._sleeps_until = -_NEVER
        self._on_error = on_error
        self._thread = threading.Thread(target=self._run, name="perdure-slice", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def watch(self, held: Slice | None) -> None:
        """Watch a slice from now on, or none. To be called again when something in it is due earlier than before."""
        self._slice = held
        if self._due_at() < self._sleeps_until:
            self._woken.set()

    def _due_at(self) -> float:
        return _NEVER if (held := self._slice) is None else held.due_at()

    def _run(self) -> None:
        while True:
            held, due_at = self._slice, self._due_at()
            if held is None or due_at > time.monotonic():
                self._sleep(due_at)
                continue
            try:
                held.keep()
            except Exception:  # noqa: BLE001 - the slice tries again at its end
                self._on_error()
                time.sleep(REST)

    def _sleep(self, until: float) -> None:
        self._woken.clear()
        self._sleeps_until = until
        if self._due_at() >= until:  # who has changed that meanwhile may not have seen that this thread sleeps
            self._woken.wait(None if until == _NEVER else until - time.monotonic())
        self._sleeps_until = -_NEVER
