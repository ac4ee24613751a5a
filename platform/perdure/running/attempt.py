"""What a running attempt is: its claim, what it has saved, and what tells it to stop. All of this package shares it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from perdure.errors import CommitWasInDoubt, HandedBack, JobCancelled
from perdure.ledger import Ledger
from perdure.model.checkpoint_schema import StatePolicy
from perdure.model.clock import Clock, SystemClock
from perdure.model.records import Claim, Settlement
from perdure.running.checkpoint_storage import Storage
from perdure.stores.record import CheckpointRecord

if TYPE_CHECKING:
    from perdure.ledger.jobs.notes import NoteKind
    from perdure.ledger.running.checkpoints import Standing
    from perdure.ledger.running.steps import StepRecord

logger = logging.getLogger("perdure.context")


class Saved(Protocol):
    """A checkpoint, as the transaction that saves it knows it."""

    @property
    def name(self) -> str:
        """Which of the job's checkpoints."""

    def saved(self, seq: int) -> None:
        """Note that a version was saved."""


class OpenWork(Protocol):
    """A transaction that a job has open; see :class:`perdure.running.transaction.OpenTransaction`."""

    result: Any

    def save(self, checkpoint: Saved, make: Callable[[int], CheckpointRecord], previous_seq: int) -> int:
        """Add a checkpoint's version and return the number that it will have."""

    def record(self, step: StepRecord) -> None:
        """Add a step that succeeded."""


class RunningAttempt:
    """One attempt of a job, while it runs.

    Args:
        claim: The attempt's claim.
        ledger: Where checkpoints and progress go.
        timeout: The attempt's time limit in seconds, if any.
        draining: Says whether the worker wants its jobs back.
        progress_interval: Seconds between two writes of progress.
        clock: What measures those.
        storage: Where checkpoints are kept; the ledger by default.
        state_policy: The shape of the task's checkpoints.
        returns: The annotation of what the job's function returns.
    """

    def __init__(
        self,
        claim: Claim,
        ledger: Ledger,
        *,
        timeout: float | None = None,
        draining: Callable[[], bool] = lambda: False,
        progress_interval: float = 0.5,
        clock: Clock | None = None,
        storage: Storage | None = None,
        state_policy: StatePolicy | None = None,
        returns: Any = Any,
    ) -> None:
        self.claim = claim
        self.ledger = ledger
        self.storage = storage or Storage(ledger)
        self.state_policy = state_policy or StatePolicy()
        #: What the job's function says that it returns.
        self.returns = returns
        self.draining = draining
        #: The number of the job's checkpoint that was saved last, as this attempt knows it.
        self.last_seq = claim.checkpoint_seq
        self.open_transaction: OpenWork | None = None
        #: What ``transaction(final=True)`` has committed; the worker settles nothing more then.
        self.settlement: Settlement | None = None
        #: Whether a commit failed in a way that does not tell whether it happened.
        self.is_in_doubt = False
        self._clock = clock or SystemClock()
        self._progress_interval = progress_interval
        self._next_progress = 0.0
        self._started = self._clock.monotonic()
        self._timeout = timeout

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self.claim.job_id

    @property
    def fence(self) -> int:
        """The claim's fence: what a write must carry to count."""
        return self.claim.fence

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Say how far the job is. Cheap: it is written at most every ``progress_interval`` seconds, and at the end.

        Inside of ``ctx.transaction()`` nothing is written: on SQLite that would wait for the transaction itself.

        Args:
            done: What is done, in any unit.
            total: What there is to do, in the same unit.
            message: A few words for people.

        Raises:
            LeaseLost: Another worker has the job now.
            HandedBack: Never here: only a checkpoint hands back.
            JobCancelled: The job was cancelled.
        """
        if self.open_transaction is not None or (not self.progress_is_due() and done != total):
            return
        self._next_progress = self._clock.monotonic() + self._progress_interval
        standing = self.ledger.running.report_progress(self.job_id, self.fence, done, total, message)
        if standing.cancel_requested:
            raise JobCancelled(f"job {self.job_id} was cancelled")

    def progress_is_due(self) -> bool:
        """Return whether :meth:`progress` would write something now; for loops that are too tight to ask it each time."""
        return self._clock.monotonic() >= self._next_progress

    def check(self) -> None:
        """Stop here when the job is cancelled or its lease is lost.

        Raises:
            LeaseLost: Another worker has the job now.
            JobCancelled: The job was cancelled.
        """
        if self.ledger.running.standing(self.job_id, self.fence).cancel_requested:
            raise JobCancelled(f"job {self.job_id} was cancelled")

    def obey(self, standing: Standing) -> None:
        """Stop when the ledger or the worker says so; called where the job's state has just been saved.

        Raises:
            JobCancelled: The job was cancelled.
            HandedBack: The worker drains.
        """
        if standing.cancel_requested:
            raise JobCancelled(f"job {self.job_id} was cancelled")
        if self.draining():
            raise HandedBack(f"job {self.job_id} is handed back at its checkpoint: the worker drains")

    def check_not_in_doubt(self) -> None:
        """Stop an attempt whose memory may be older than what is committed.

        Raises:
            CommitWasInDoubt: A commit failed in a way that does not tell whether it happened.
        """
        if self.is_in_doubt:
            raise CommitWasInDoubt(
                f"job {self.job_id}: a commit of this attempt failed in a way that does not tell whether it happened. "
                "Nothing more is written; the next attempt goes on from what was committed"
            )

    def note(self, kind: NoteKind, text: str) -> None:
        """Write a note about the job for people."""
        logger.warning("%s: %s", kind.value, text)
        if self.open_transaction is None:  # on SQLite it would wait for the transaction itself
            self.ledger.jobs.note(self.job_id, kind, text)

    def ledger_now(self) -> float:
        """Return the time by the ledger's clock, seconds since the epoch."""
        # The ledger's clock as of the claim, plus what has passed here: this machine's own clock may be wrong.
        return self.claim.started_at + self.ran()

    def ran(self) -> float:
        """Return for how many seconds this attempt has run."""
        return self._clock.monotonic() - self._started
