"""A slice: the jobs that a child has claimed at once. It runs them one after another and settles them together.

Nobody waits for a long job: when one takes longer than the slice's time, what ended before it is settled, and what comes
after it is given back, both at once and by a thread of its own.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from perdure.model.records import Claim
from perdure_workers.worker.execute import Attempt

#: Seconds that a slice takes: what is settled waits that long for company, and nothing waits longer in a child's hands.
BUDGET = 0.02
#: Jobs of a slice, at most.
MOST = 200
#: Seconds for which a slice's keeper rests when letting go has failed.
REST = 0.5
#: By how much a slice may be larger than the one before.
GROWTH = 4

Ended = tuple[Claim, Attempt]
#: Settles what ended and gives back the rest; may return what it has claimed along with that.
Settle = Callable[[Sequence[Ended], Sequence[Claim]], Sequence[Claim] | None]


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
    """

    def __init__(self, claims: Sequence[Claim], settle: Settle, until: float) -> None:
        self._rest = deque(claims)
        self._ended: list[Ended] = []
        #: What leaves: it stays here until the ledger has it.
        self._to_settle: list[Ended] = []
        self._to_release: list[Claim] = []
        self._settle = settle
        self._lock = threading.Lock()
        self._settling = threading.Lock()
        self._until = until
        self._ends_at = self._late_at = time.monotonic() + BUDGET
        self.begun = 0

    def next(self) -> Claim | None:
        """Return the job to run now; None when there is none or the slice's time is over."""
        with self._lock:
            if not self._rest or time.monotonic() > (self._ends_at if self.begun else self._until):
                return None
            self.begun += 1
            return self._rest.popleft()

    def add(self, claim: Claim, attempt: Attempt) -> None:
        """Take note of how a job ended."""
        with self._lock:
            if not self._ended:
                self._late_at = time.monotonic() + BUDGET
            self._ended.append((claim, attempt))

    def late_in(self) -> float:
        """Return the seconds after which something has waited for its time: a job to be begun, or else an outcome."""
        with self._lock:
            return max(0.0, (self._ends_at if self._rest else self._late_at) - time.monotonic())

    def let_go(self, settle: Settle | None = None) -> Sequence[Claim] | None:
        """Settle what ended and give back what was not begun. What fails is tried again the next time, and not run.

        Args:
            settle: Does so in place of what the slice was given.

        Returns:
            What ``settle`` has claimed; None where it was not called.
        """
        with self._settling:
            with self._lock:
                self._to_settle += self._ended
                self._to_release += self._rest
                self._ended, self._rest = [], deque()
            if not (self._to_settle or self._to_release):
                return None
            claims = (settle or self._settle)(self._to_settle, self._to_release)
            self._to_settle, self._to_release = [], []
            return claims


class SliceKeeper:
    """A thread that lets go of a slice's other jobs when one takes longer than the slice's time."""

    def __init__(self, on_error: Callable[[], object]) -> None:
        self._slice: Slice | None = None
        self._some = threading.Event()
        self._on_error = on_error
        self._thread = threading.Thread(target=self._run, name="perdure-slice", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def watch(self, held: Slice | None) -> None:
        """Watch a slice from now on, or none."""
        self._slice = held
        if held is not None and not self._some.is_set():
            self._some.set()

    def _run(self) -> None:
        let_go = None
        while True:
            held = self._slice
            if held is None or held is let_go:  # of whose jobs none is begun any more: the job that runs ends it
                self._some.clear()
                if self._slice is held:
                    self._some.wait()
                continue
            time.sleep(held.late_in())
            if self._slice is held and not held.late_in():
                try:
                    held.let_go()
                    let_go = held
                except Exception:  # noqa: BLE001 - the slice tries again at its end
                    self._on_error()
                    time.sleep(REST)
