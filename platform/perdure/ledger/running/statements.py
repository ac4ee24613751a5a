"""``ledger.running``: Statements of running jobs: their claims, checkpoints, steps and replicas."""

from __future__ import annotations

from perdure.ledger.running import anew, checkpoints, claims, replicas, steps
from perdure.ledger.work import Work
from perdure.model.records import Claim, JobRecord


class RunningStatements:
    """What runs of a ledger.

    Args:
        work: Runs statements on the ledger's database.
    """

    def __init__(self, work: Work) -> None:
        self._work = work

    def replicas_of(self, job_id: str) -> list[JobRecord]:
        """Return a job's replicas."""
        return [self._work.vault.job(replica) for replica in self._work.direct(lambda c: replicas.replicas_of(c, job_id))]

    def wake(self, job_id: str) -> None:
        """Have a job that waits look at its replicas now."""
        self._work.hot(lambda c: replicas.wake(c, job_id))

    def orphaning(self, page: int) -> list[str]:
        """Return workers whose lease is over and who still have running jobs."""
        return self._work.direct(lambda c: claims.orphaning(c, page))

    def of_worker(self, worker_id: str) -> list[claims.RunningJob]:
        """Return what a worker runs."""
        return self._work.direct(lambda c: claims.running_of(c, worker_id))

    def of_child(self, worker_id: str, pid: int) -> list[Claim]:
        """Return the claims that name a worker's child."""
        return self._work.direct(lambda c: claims.running_by_child(c, worker_id, pid))

    def begun_anew(self, claim: Claim) -> int:
        """Return how often drains have cut a job short that keeps nothing; see :func:`anew.begun_anew`."""
        return self._work.hot(lambda c: anew.begun_anew(c, claim))

    def cancelling(self, worker_id: str) -> dict[tuple[str, int], float]:
        """Return the jobs of a worker that were asked to stop; see :func:`claims.cancelling`."""
        return self._work.direct(lambda c: claims.cancelling(c, worker_id))

    def save_checkpoint(
        self, job_id: str, fence: int, name: str, data: checkpoints.Frame, previous_seq: int
    ) -> tuple[int, checkpoints.Standing]:
        """Write a checkpoint; see :func:`checkpoints.save`."""
        return self._work.hot(lambda c: checkpoints.save(c, job_id, fence, name, data, previous_seq), autocommit=False)

    def advance_checkpoint(self, job_id: str, fence: int) -> tuple[int, checkpoints.Standing]:
        """Give a running job its next number; see :func:`checkpoints.advance`."""
        return self._work.hot(lambda c: checkpoints.advance(c, job_id, fence))

    def load_checkpoint(self, job_id: str, name: str) -> list[checkpoints.StoredCheckpoint]:
        """Return the kept versions of a checkpoint, the newest first."""
        return self._work.hot(lambda c: checkpoints.load(c, job_id, name))

    def steps_of(self, job_id: str) -> list[steps.StepRecord]:
        """Return a job's durable steps in their order."""
        return self._work.hot(lambda c: steps.of_job(c, job_id))

    def record_step(self, job_id: str, fence: int, step: steps.StepRecord) -> checkpoints.Standing:
        """Write a step that succeeded; see :func:`steps.record`."""
        return self._work.hot(lambda c: steps.record(c, job_id, fence, step), autocommit=False)

    def report_progress(
        self, job_id: str, fence: int, done: float, total: float | None, message: str
    ) -> checkpoints.Standing:
        """Write how far a job is."""
        return self._work.hot(lambda c: checkpoints.report_progress(c, job_id, fence, done, total, message))

    def standing(self, job_id: str, fence: int) -> checkpoints.Standing:
        """Return whether a running job shall stop; raises ``LeaseLost`` for a stale fence."""
        return self._work.hot(lambda c: checkpoints.standing(c, job_id, fence))
