"""What a running job knows of itself and can ask of the platform."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import msgspec

from perdure.checkpoint import Checkpoint
from perdure.clock import Clock, SystemClock
from perdure.errors import HandedBack, JobCancelled
from perdure.ledger import Ledger
from perdure.ledger.checkpoints import Standing
from perdure.ledger.records import Claim


class JobContext:
    """The context of one attempt; a job gets it when its first parameter is annotated ``JobContext``.

    Args:
        claim: The attempt's claim.
        ledger: Where checkpoints and progress go.
        timeout: The attempt's time limit in seconds, if any.
        draining: Says whether the worker wants its jobs back.
        progress_interval: Seconds between two writes of progress.
        clock: What measures those.
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
    ) -> None:
        self.claim = claim
        self.ledger = ledger
        self._draining = draining
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

    @property
    def attempt(self) -> int:
        """Which attempt this is, 1 for the first; snoozes and hand-backs do not count."""
        return self.claim.attempt

    @cached_property
    def idempotency_key(self) -> str:
        """A key for calls to others: the job's own key, or its id.

        It is the same in every attempt, and in a replay with the same arguments: others recognise what they have done.
        """
        if self.claim.replica_of is not None:
            return self.claim.replica_of
        if self.claim.replay_of is not None:
            return self.ledger.effect_key(self.claim.job_id)
        return self.claim.idempotency_key or self.claim.job_id

    @cached_property
    def tags(self) -> dict[str, str]:
        """The tags with which the job was submitted."""
        return msgspec.json.decode(self.claim.tags, type=dict[str, str]) if self.claim.tags else {}

    @property
    def deadline(self) -> float | None:
        """The moment at which this attempt must have ended, epoch seconds of the ledger's clock; None for no bound."""
        bounds = [bound for bound in (self._attempt_ends_at(), self.claim.deadline) if bound is not None]
        return min(bounds) if bounds else None

    def remaining(self) -> float | None:
        """Return the seconds until the deadline, never negative; None for no bound."""
        return None if self.deadline is None else max(0.0, self.deadline - self._ledger_now())

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The job's checkpoint."""
        return Checkpoint(self)

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Say how far the job is. Cheap: it is written at most every ``progress_interval`` seconds, and at the end.

        Args:
            done: What is done, in any unit.
            total: What there is to do, in the same unit.
            message: A few words for people.

        Raises:
            LeaseLost: Another worker has the job now.
            HandedBack: Never here: only a checkpoint hands back.
            JobCancelled: The job was cancelled.
        """
        moment = self._clock.monotonic()
        if moment < self._next_progress and done != total:
            return
        self._next_progress = moment + self._progress_interval
        standing = self.ledger.report_progress(self.job_id, self.fence, done, total, message)
        if standing.cancel_requested:
            raise JobCancelled(f"job {self.job_id} was cancelled")

    def check(self) -> None:
        """Stop here when the job is cancelled or its lease is lost.

        Raises:
            LeaseLost: Another worker has the job now.
            JobCancelled: The job was cancelled.
        """
        if self.ledger.standing(self.job_id, self.fence).cancel_requested:
            raise JobCancelled(f"job {self.job_id} was cancelled")

    def obey(self, standing: Standing) -> None:
        """Stop when the ledger or the worker says so; called where the job's state has just been saved.

        Raises:
            JobCancelled: The job was cancelled.
            HandedBack: The worker drains.
        """
        if standing.cancel_requested:
            raise JobCancelled(f"job {self.job_id} was cancelled")
        if self._draining():
            raise HandedBack(f"job {self.job_id} is handed back at its checkpoint: the worker drains")

    def _attempt_ends_at(self) -> float | None:
        return None if self._timeout is None else self.claim.started_at + self._timeout

    def _ledger_now(self) -> float:
        # The ledger's clock as of the claim, plus what has passed here: this machine's own clock may be wrong.
        return self.claim.started_at + self._clock.monotonic() - self._started
