"""A handle on one job: its state, its result, its history."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from msgspec import Struct

from perdure.errors import JobCancelled, JobDead, JobNotFinished
from perdure.model.codec import codec
from perdure.model.states import JobState
from perdure.model.text.error_names import short_name

if TYPE_CHECKING:
    from perdure.ledger import Ledger
    from perdure.model.dead_letter import LineageEntry
    from perdure.model.job_log import LogLine
    from perdure.model.new_job import Submitted
    from perdure.model.records import AttemptRecord, JobRecord, Progress
    from perdure.model.task_spec import TaskSpec

R = TypeVar("R")

#: Seconds between two looks at the ledger while waiting: short at first, then longer.
FIRST_POLL, LONGEST_POLL = 0.01, 0.25


class Handles(Struct, frozen=True):
    """Makes handles on the jobs of an application.

    Attributes:
        ledger: Where the jobs are.
        tasks: The application's tasks by name: they say what their jobs return.
        cancel: Cancels a job, for a reason.
    """

    ledger: Ledger
    tasks: Mapping[str, TaskSpec]
    cancel: Callable[[str, str], bool]

    def to(self, job_id: str, *, deduplicated: bool = False) -> JobHandle[Any]:
        """Return the handle of a job by its id."""
        return JobHandle(self, job_id, deduplicated=deduplicated)

    def accepted(self, accepted: Submitted) -> JobHandle[Any]:
        """Return the handle of a job that was just submitted."""
        return self.to(accepted.id, deduplicated=accepted.deduplicated)

    def of(self, record: JobRecord) -> JobHandle[Any]:
        """Return the handle of a job that was read from the ledger."""
        handle = self.to(record.id)
        handle._record = record
        return handle


class JobHandle(Generic[R]):
    """A job, looked up in the ledger each time something is asked of it.

    Attributes:
        id: The job's id.
        deduplicated: Whether the submit found an earlier job with the same idempotency key.
    """

    __slots__ = ("_handles", "_record", "deduplicated", "id")

    def __init__(self, handles: Handles, job_id: str, *, deduplicated: bool = False) -> None:
        self._handles = handles
        self._record: JobRecord | None = None
        self.id = job_id
        self.deduplicated = deduplicated

    def refresh(self) -> JobHandle[R]:
        """Read the job from the ledger again and return the handle."""
        self._record = self._handles.ledger.jobs.get(self.id)
        return self

    @property
    def record(self) -> JobRecord:
        """Everything that the ledger knew of the job at the last :meth:`refresh`."""
        if self._record is None:
            self.refresh()
        assert self._record is not None
        return self._record

    @property
    def state(self) -> JobState:
        """The job's state now."""
        return self.refresh().record.state

    @property
    def task(self) -> str:
        """The name of the job's task."""
        return self.record.task

    @property
    def bulkhead(self) -> str:
        """The job's bulkhead."""
        return self.record.bulkhead

    @property
    def progress(self) -> Progress | None:
        """How far the job says it is, or None when it has said nothing."""
        return self.refresh().record.progress

    @property
    def error(self) -> str | None:
        """The last attempt's error, or None."""
        return self.refresh().record.error

    def attempts(self) -> list[AttemptRecord]:
        """Return the job's ended attempts, the first one first."""
        return self._handles.ledger.jobs.attempts(self.id)

    def log(self) -> list[LogLine]:
        """Return what is kept of what the job has said by ``ctx.log``, the first line first."""
        return self._handles.ledger.jobs.log_of(self.id, self.task)

    def replicas(self) -> list[JobRecord]:
        """Return the records of the job's replicas; empty for a job without."""
        return self._handles.ledger.running.replicas_of(self.id)

    @property
    def replay_of(self) -> JobHandle[Any] | None:
        """The job that this one is a replay of, or None."""
        before = self.record.replay_of
        return None if before is None else self._handles.to(before)

    def replays(self) -> list[JobHandle[Any]]:
        """Return the newest hundred replays of this job, the first one first."""
        return [self._handles.of(record) for record in self._handles.ledger.jobs.replays_of(self.id)]

    def lineage(self) -> list[LineageEntry]:
        """Return the whole line of replays that this job belongs to, the first job first."""
        return self._handles.ledger.letters.line(self.id)

    def wait(self, timeout: float | None = None) -> R:
        """Wait for the job's end and return its result.

        Args:
            timeout: Seconds to wait; None for ever.

        Raises:
            JobDead: The job ended as a dead letter; the error has ``dead_letter_id``.
            JobCancelled: The job was cancelled.
            TimeoutError: The job has not ended in time; it goes on.
        """
        give_up_at = None if timeout is None else time.monotonic() + timeout
        pause = FIRST_POLL
        while not (state := self.state).is_final:
            if give_up_at is not None and time.monotonic() >= give_up_at:
                raise TimeoutError(f"job {self.id} is {state} after {timeout:g} s. Why: perdure why {self.id}")
            time.sleep(pause if give_up_at is None else max(0.0, min(pause, give_up_at - time.monotonic())))
            pause = min(pause * 1.5, LONGEST_POLL)
        return self._outcome()

    def result(self) -> R:
        """Return the result of a job that succeeded.

        Raises:
            JobNotFinished: The job has not ended.
            JobDead: The job ended as a dead letter.
            JobCancelled: The job was cancelled.
        """
        if not self.state.is_final:
            raise JobNotFinished(f"job {self.id} is {self.record.state}; wait() for it")
        return self._outcome()

    def cancel(self, reason: str = "cancelled by its submitter") -> bool:
        """Cancel the job: at once while it waits, at its next checkpoint while it runs.

        When its attempt fails first, or is to go on later, it ends as cancelled and is not tried again.

        Returns:
            False when the job had ended before.
        """
        return self._handles.cancel(self.id, reason)

    def _outcome(self) -> R:
        record = self.record
        if record.state is JobState.DEAD:
            message = f"{record.task} {self.id}: {short_name(record.error_type or '')}: {record.error}"
            raise JobDead(message, job_id=self.id, dead_letter_id=record.dead_letter_id)
        if record.state is JobState.CANCELLED:
            raise JobCancelled(f"{record.task} {self.id} was cancelled")
        text = record.result_json
        if text is not None and "result" in record.unopened:  # it could not be opened, or believed: this says why
            text = self._handles.ledger.vault.get(text, "result", record.id, record.task)
        value: Any = None if text is None else self._decoded(text, record.task)
        result: R = value
        return result

    def _decoded(self, text: str, task: str) -> Any:
        return codec.decode_returned(text, self._returns(task))

    def _returns(self, task: str) -> Any:
        known = self._handles.tasks.get(task)
        return Any if known is None else known.signature.returns

    def __repr__(self) -> str:
        return f"<job {self.id}>"
