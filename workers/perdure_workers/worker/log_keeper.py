"""What the job of a child says: written each second while it runs, so that it is there when the process is killed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from perdure.model.job_log import Chunk, JobLog
from perdure.model.masking import NOTHING, Masker
from perdure.model.records import Claim
from perdure_workers.recovery.outage import until_the_ledger_is_back

logger = logging.getLogger("perdure.log_keeper")

#: Seconds from one write to the next of what a running job says. What is left at its end is written with its outcome.
EVERY = 1.0
#: Seconds that a job waits at most for a line that is written at once.
LONGEST_WRITE = 1.0


class LogKeeper:
    """Keeps what jobs say, one job after another. Its thread starts with the first line; who says nothing pays nothing.

    Args:
        write: Writes lines to the ledger.
    """

    def __init__(self, write: Callable[[Sequence[Chunk]], object]) -> None:
        self._write = write
        self._log: JobLog | None = None
        self._mask: Masker = NOTHING
        self._running: tuple[str, int] | None = None
        self._some = threading.Event()
        #: Held from taking lines to their being written, so that those of a job are written in their order.
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None

    def begin(self, claim: Claim, mask: Masker) -> None:
        """Note that a job begins, whose secrets a mask takes out."""
        self._running, self._mask = (claim.job_id, claim.fence), mask

    def told(self, log: JobLog, at_once: bool) -> None:
        """Take note of a line.

        Args:
            log: The running job's.
            at_once: Whether the process may not live long enough for the next write.
        """
        if log.of != self._running:
            return  # a thread that has outlived its job, and whose secrets are not this one's
        self._log = log
        if at_once:
            self._write_what_is_there(timeout=LONGEST_WRITE)
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="perdure-log", daemon=True)
            self._thread.start()
        if not self._some.is_set():
            self._some.set()

    def end(self) -> Chunk | None:
        """Return what the job has said and nobody has written."""
        log, self._log, self._running = self._log, None, None
        return None if log is None else self._masked(log.take())

    def _run(self) -> None:
        while True:
            self._some.wait()
            self._some.clear()
            time.sleep(EVERY)
            self._write_what_is_there()

    def _write_what_is_there(self, timeout: float | None = None) -> None:
        with self._writing:
            log = self._log
            chunk = None if log is None else self._masked(log.take())
            if chunk is None:
                return
            try:
                until_the_ledger_is_back(lambda: self._write([chunk]), timeout)
            except Exception:
                logger.exception("lines of %s %s are lost", chunk.task, chunk.job_id)

    def _masked(self, chunk: Chunk | None) -> Chunk | None:
        if chunk is None or not self._mask:
            return chunk
        lines = tuple(replace(line, text=self._mask.text(line.text)) for line in chunk.lines)
        return replace(chunk, lines=lines)
