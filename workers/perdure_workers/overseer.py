"""The overseer: a thread of a worker's main process that compares what the ledger says it runs with what it does run."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable

from perdure import Perdure
from perdure.decision import Stop, stop_by_force, time_limit
from perdure.errors import LedgerUnavailable
from perdure.ledger.records import Claim
from perdure.ledger.running import RunningJob
from perdure_workers.rescue import rescue_claim

logger = logging.getLogger("perdure.overseer")

#: Seconds between two looks; one query each.
INTERVAL = 0.5
#: Seconds that a job gets to end after its time limit interrupted it.
HARD_LIMIT_GRACE = 5.0
#: Looks in a row at which a job is seen to be run by nobody before it is taken back.
LOOKS = 4


class Overseer:
    """Ends jobs by force that do not stop when they should, and takes back jobs that no child runs.

    Args:
        app: The application.
        worker_id: The worker's incarnation.
        children: Returns the process ids of the worker's children.
        may_run: Says whether a child may be running a job, as far as Celery's pool has told; yes when in doubt.
    """

    def __init__(
        self,
        app: Perdure,
        worker_id: str,
        children: Callable[[], list[int]],
        may_run: Callable[[int, str], bool],
    ) -> None:
        self._app = app
        self._worker_id = worker_id
        self._children = children
        self._may_run = may_run
        self._unattended: dict[tuple[str, int], int] = {}
        #: Children that this worker killed or is about to, and why.
        self.stopped: dict[int, Stop] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="perdure-overseer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()

    def look(self) -> None:
        """Look at each running job once."""
        running = self._app.ledger.running_of(self._worker_id)
        children = set(self._children())
        for job in running:
            if (why := self._must_stop(job)) is not None and job.claim.worker_pid in children:
                self._stop_by_force(job.claim, why)
        self._take_back_unattended(running, children)

    def _must_stop(self, job: RunningJob) -> Stop | None:
        task = self._app.tasks.get(job.claim.task)
        limit = time_limit(job.claim, task.timeout if task else None)
        return stop_by_force(job, limit, HARD_LIMIT_GRACE, self._app.settings.cancel_grace)

    def _stop_by_force(self, claim: Claim, why: Stop) -> None:
        """Kill a child, unless it has gone on to another job since the ledger was read.

        It is stopped first, so that it cannot go on between the second look and the kill. A child that is stopped inside a
        write holds up other writers, but not this read.
        """
        pid = claim.worker_pid
        os.kill(pid, signal.SIGSTOP)
        try:
            if self._app.ledger.is_held(claim.job_id, claim.fence):
                logger.warning("%s %s is ended by force: %s", claim.task, claim.job_id, why)
                self.stopped[pid] = why
                os.kill(pid, signal.SIGKILL)
        finally:
            os.kill(pid, signal.SIGCONT)

    def _take_back_unattended(self, running: list[RunningJob], children: set[int]) -> None:
        seen: dict[tuple[str, int], int] = {}
        for job in running:
            claim = job.claim
            if claim.worker_pid in children and self._may_run(claim.worker_pid, claim.job_id):
                continue
            key = (claim.job_id, claim.fence)
            seen[key] = self._unattended.get(key, 0) + 1
            if seen[key] >= LOOKS:
                rescue_claim(self._app, claim, f"no child of worker {claim.worker_name} runs it any more")
        self._unattended = seen

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL):
            try:
                self.look()
            except LedgerUnavailable as error:
                logger.warning("looking at the running jobs failed: %s", error)
            except ProcessLookupError:
                continue  # a child ended by itself meanwhile
            except Exception:
                logger.exception("looking at the running jobs failed")
