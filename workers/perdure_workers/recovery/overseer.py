"""The overseer: a thread of a worker's main process that compares what its children do with what they should."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable

from perdure import Perdure
from perdure.errors import LedgerUnavailable
from perdure.model.settlement import Stop, stop_by_force
from perdure_workers.recovery.rescue import release_behind, rescue_claim
from perdure_workers.shared.slots import Slot, Slots
from perdure_workers.timers import until_next

logger = logging.getLogger("perdure.overseer")

#: Seconds between two looks: at memory, and with one query while a job runs that may have been cancelled.
INTERVAL = 0.5
#: Seconds that a job gets to end after its time limit interrupted it.
HARD_LIMIT_GRACE = 5.0
#: Looks between two searches for jobs that nobody runs, and searches in a row after which one is taken back.
SEARCH_EVERY = 4
#: Looks between two searches while no child has claimed anything, so that there should be nothing to find.
SELDOM = 60
SEARCHES = 2
#: The same for what a child holds and does not run: its slice is over long before, unless it failed to settle it.
PATIENT_SEARCHES = 10


class Overseer:
    """Ends jobs by force that do not stop when they should, and takes back jobs that no child runs.

    Args:
        app: The application.
        worker_id: The worker's incarnation.
        children: Returns the process ids of the worker's children.
        slots: Say what each of them does.
    """

    def __init__(self, app: Perdure, worker_id: str, children: Callable[[], list[int]], slots: Slots) -> None:
        self._app = app
        self._worker_id = worker_id
        self._children = children
        self._slots = slots
        self._looks = 0
        self._released_behind: dict[int, tuple[str, int]] = {}
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
        """Look at each child once, and now and then for jobs that none of them runs."""
        busy = [slot for slot in self._slots.all(self._children()) if slot.job_id and slot.elapsed > INTERVAL]
        cancelling = self._app.ledger.running.cancelling(self._worker_id) if busy else {}
        self._release_behind(busy)
        for slot in busy:
            cancelled_for = cancelling.get((slot.job_id, slot.fence))
            why = stop_by_force(slot.elapsed, slot.limit, cancelled_for, HARD_LIMIT_GRACE, self._app.settings.cancel_grace)
            if why is not None:
                self._stop_by_force(slot, why)
        self._looks += 1
        if self._looks % SELDOM == 0 or (self._looks % SEARCH_EVERY == 0 and self._may_find_any()):
            self.take_back_unattended()

    def _may_find_any(self) -> bool:
        """Return whether a search may find anything: where no child claims, none has what it does not run."""
        claimed = self._slots.have_claimed()
        return claimed or bool(self._unattended) or any(slot.holds for slot in self._slots.all(self._children()))

    def _release_behind(self, busy: list[Slot]) -> None:
        """Give back, once for each job that takes long, what waits behind it in its child's hands."""
        long = {slot.pid: (slot.job_id, slot.fence) for slot in busy if slot.elapsed > 2 * INTERVAL}
        for slot in busy:
            if slot.pid in long and self._released_behind.get(slot.pid) != long[slot.pid]:
                count = release_behind(self._app, self._worker_id, slot)
                if count:
                    logger.warning("%d jobs taken back that process %d held behind job %s", count, slot.pid, slot.job_id)
        self._released_behind = long

    def _stop_by_force(self, slot: Slot, why: Stop) -> None:
        """Kill a child, unless it has gone on to another job.

        It is stopped first, so that it cannot go on between the second look and the kill.
        """
        os.kill(slot.pid, signal.SIGSTOP)
        try:
            now = self._slots.of(slot.pid)
            if now is not None and (now.job_id, now.fence) == (slot.job_id, slot.fence):
                logger.warning("job %s is ended by force: %s", slot.job_id, why)
                self.stopped[slot.pid] = why
                os.kill(slot.pid, signal.SIGKILL)
        finally:
            os.kill(slot.pid, signal.SIGCONT)

    def take_back_unattended(self) -> None:
        """Take back jobs that the ledger says this worker runs, and that at no search any child ran."""
        seen: dict[tuple[str, int], int] = {}
        holding = {slot.pid: slot for slot in self._slots.all(self._children()) if slot.holds}
        for job in self._app.ledger.running.of_worker(self._worker_id):
            claim = job.claim
            key = (claim.job_id, claim.fence)
            holder = holding.get(claim.worker_pid)
            if holder is not None and (holder.job_id, holder.fence) == key:
                continue
            if not seen:
                self._begin_anew_without_writes()
            seen[key] = self._unattended.get(key, 0) + 1
            if seen[key] >= (SEARCHES if holder is None else PATIENT_SEARCHES):
                rescue_claim(self._app, claim, f"no child of worker {claim.worker_name} runs it any more")
        self._unattended = seen

    def _begin_anew_without_writes(self) -> None:
        """Count from the beginning while nobody can write: children hold the outcomes of what they ran meanwhile."""
        try:
            self._app.ledger.probe()
        except LedgerUnavailable:
            self._unattended = {}
            raise

    def _run(self) -> None:
        while not self._stop.wait(until_next(INTERVAL)):
            try:
                self.look()
            except LedgerUnavailable as error:
                logger.warning("looking at the running jobs failed: %s", error)
            except ProcessLookupError:
                continue  # a child ended by itself meanwhile
            except Exception:
                logger.exception("looking at the running jobs failed")
