"""``app.jobs``: finding jobs."""

from __future__ import annotations

import builtins
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from perdure.broker.flower_events import announce
from perdure.errors import InvalidArguments, did_you_mean
from perdure.ledger.jobs import lookup
from perdure.ledger.jobs.read import COUNTABLE
from perdure.model.clock import to_epoch
from perdure.model.events import JobEvent
from perdure.model.states import JobState, Transition
from perdure.model.waiting_reasons import Reason, explain
from perdure.submit.handle import JobHandle

if TYPE_CHECKING:
    from perdure.app import Perdure


class Jobs:
    """The jobs of an application's ledger."""

    def __init__(self, app: Perdure) -> None:
        self._app = app

    def get(self, job_id: str) -> JobHandle[Any]:
        """Return the handle of a job.

        Raises:
            JobNotFound: The ledger has no job of that id.
        """
        return JobHandle(self._app, job_id).refresh()

    def find(self, text: str) -> JobHandle[Any]:
        """Return the handle of the job that a person means: by its id, or by how only its id begins or ends.

        Raises:
            JobNotFound: The ledger has no such job.
            AmbiguousId: It has several.
        """
        return self.get(self._app.ledger.read(lambda c: lookup.find_job_id(c, text)))

    def list(
        self,
        *,
        state: str | None = None,
        task: str | None = None,
        bulkhead: str | None = None,
        tag: tuple[str, str] | str | None = None,
        since: datetime | float | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> list[JobHandle[Any]]:
        """Return jobs, the newest first.

        Args:
            state: Only jobs in this state.
            task: Only jobs of this task.
            bulkhead: Only jobs on this bulkhead.
            tag: Only jobs with this tag: ``("tenant", "a")`` or ``"tenant=a"``.
            since: Only jobs submitted since this moment.
            limit: The most to return.
            after: The id of the last job of the page before.

        Raises:
            InvalidArguments: A filter's value is not allowed.
        """
        records = self._app.ledger.jobs(
            state=None if state is None else _state(state),
            task=task,
            bulkhead=bulkhead,
            tag=None if tag is None else as_tag(tag),
            since=to_epoch(since),
            limit=limit,
            after=after,
        )
        return [JobHandle.of(self._app, record) for record in records]

    def count(self, by: str = "state") -> dict[str, int]:
        """Return how many jobs there are by ``state``, ``task`` or ``bulkhead``; what has none is left out.

        Raises:
            InvalidArguments: Jobs cannot be counted by that.
        """
        if by not in COUNTABLE:
            raise InvalidArguments(f"count(by={by!r}) is not known. Allowed: {', '.join(COUNTABLE)}")
        return self._app.ledger.count_jobs(by)

    def why(self, job_id: str) -> builtins.list[Reason]:
        """Return why a job is not running now, the strongest reason first.

        Raises:
            JobNotFound: The ledger has no job of that id.
        """
        bulkhead = self._app.settings.bulkheads.get(self._app.ledger.job(job_id).bulkhead)
        facts = self._app.ledger.why(job_id, bulkhead.limit if bulkhead else None)
        if facts.breaker is not None and not facts.state.is_final:
            wait = self._app.breakers[facts.breaker].next_probe_in()
            facts = replace(facts, breaker_wait=wait or None)
        if facts.limit_key is not None and not facts.state.is_final:
            limits = self._app.limits
            active = limits.active(facts.task, facts.limit_key)
            facts = replace(facts, task_limit=limits.of_task(facts.task), task_active=active)
        return explain(facts)

    def cancel(self, job_id: str, reason: str = "cancelled") -> bool:
        """Cancel a job, and its replicas if it has some; see :meth:`JobHandle.cancel`.

        Raises:
            JobNotFound: The ledger has no job of that id.
        """
        before = self._app.ledger.job(job_id)
        state = self._app.ledger.cancel(job_id, reason)
        if state is JobState.CANCELLED:
            names = (job_id, before.task, before.bulkhead)
            event = JobEvent(*names, Transition.CANCEL, before.state, state, before.attempt, reason)
            self._app.events.emit(event)
            announce(self._app, event, before.worker)
            # A job that runs at this moment looks for itself before it asks or counts its replicas.
            self.cancel_replicas(job_id, reason)
        return state is not None

    def cancel_replicas(self, job_id: str, reason: str) -> None:
        """Cancel those replicas of a job that have not ended."""
        for replica in self._app.ledger.replicas_of(job_id):
            if not replica.state.is_final:
                self.cancel(replica.id, reason)

    def run_now(self, job_id: str) -> bool:
        """Run a job as soon as a worker is free instead of at its time.

        Returns:
            False when the job does not wait for a time.

        Raises:
            JobNotFound: The ledger has no job of that id.
        """
        self._app.ledger.job(job_id)
        bulkhead = self._app.ledger.bring_forward(job_id)
        if bulkhead is not None:
            self._app.bells.ring(bulkhead)
        return bulkhead is not None


def _state(text: str) -> JobState:
    try:
        return JobState(text)
    except ValueError:
        known = [state.value for state in JobState]
        raise InvalidArguments(f"{text!r} is no job state.{did_you_mean(text, known)} States: {', '.join(known)}") from None


def as_tag(tag: tuple[str, str] | str) -> tuple[str, str]:
    """Return a tag and its value, also of ``"tenant=a"``.

    Raises:
        InvalidArguments: The text has no ``=``.
    """
    if isinstance(tag, str):
        name, equals, value = tag.partition("=")
        if not equals:
            raise InvalidArguments(f"tag={tag!r} must be NAME=VALUE")
        return name, value
    return tag
