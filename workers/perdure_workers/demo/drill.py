"""The accident of the demo: a busy worker is killed with -9, and it is measured how its job goes on."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from perdure import JobState
from perdure.model.records import JobRecord
from perdure_workers.demo.servers import Platform

#: Kill when this part of the archive is done.
AT_FRACTION = 0.35


@dataclass(slots=True)
class Accident:
    """What happened to the worker and its job.

    Attributes:
        pid: The killed process, the worker's main one.
        worker: The worker's name.
        killed_at: When, UTC.
        safe_bytes: What the job had said to be safe.
        fence: The claim under which it ran.
        resumed_at: When another process claimed it, UTC; None until then.
    """

    pid: int
    worker: str | None
    killed_at: datetime
    safe_bytes: float
    fence: int
    resumed_at: datetime | None = None

    @property
    def seconds(self) -> float | None:
        """Seconds from kill to resumption."""
        return None if self.resumed_at is None else (self.resumed_at - self.killed_at).total_seconds()


class Drill:
    """Waits for the archive to be in its middle and kills its worker, once.

    Args:
        platform: Where the worker runs.
        bulkhead: The worker's bulkhead.
    """

    def __init__(self, platform: Platform, bulkhead: str) -> None:
        self._victim = platform.worker_pid(bulkhead)
        self.accident: Accident | None = None

    def watch(self, job: JobRecord) -> str | None:
        """Look at the job and act; return what just happened, in words."""
        if self.accident is None:
            return self._kill(job) if _is_in_its_middle(job) else None
        if self.accident.resumed_at is None and job.fence > self.accident.fence:
            self.accident.resumed_at = job.started_at or datetime.now(UTC)
            return f"archive taken up again {self.accident.seconds:.1f} s after the kill"
        return None

    def _kill(self, job: JobRecord) -> str:
        assert job.progress is not None
        os.kill(self._victim, signal.SIGKILL)
        self.accident = Accident(
            self._victim, job.worker, datetime.fromtimestamp(time.time(), UTC), job.progress.done, job.fence
        )
        return f"kill -9 {self._victim}: worker {job.worker} died in the middle of the archive"


def _is_in_its_middle(job: JobRecord) -> bool:
    running = job.state is JobState.RUNNING and job.progress is not None
    return running and job.progress is not None and (job.progress.fraction or 0.0) >= AT_FRACTION
