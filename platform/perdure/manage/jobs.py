"""``app.jobs``: finding jobs."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Unpack

from msgspec.structs import asdict, replace

from perdure.errors import InvalidArguments, did_you_mean
from perdure.manage.job_search import Found, JobSearch
from perdure.model.job_filter import COUNTABLE, JobFilter
from perdure.model.moments import moment
from perdure.model.states import JobState
from perdure.system.later import later

if TYPE_CHECKING:
    from perdure.admission.limits import Limits
    from perdure.broker.bells import Bells
    from perdure.ledger import Ledger
    from perdure.ledger.jobs import lookup
    from perdure.manage.cancelling import Canceller
    from perdure.model import waiting_reasons
    from perdure.model.waiting_reasons import Reason
    from perdure.resilience.breaker.breakers import Breakers
    from perdure.settings.settings import BulkheadSettings
    from perdure.submit.handle import Handles, JobHandle
    from perdure.submit.typed_options import JobFilters
else:
    (lookup,) = later("perdure.ledger.jobs", "lookup")
    (waiting_reasons,) = later("perdure.model", "waiting_reasons")

#: What jobs are found by, as callers, the command line and Flower name it.
FILTERS = ("state", "task", "bulkhead", "tag", "since", "until", "text")


class Jobs:
    """The jobs of an application's ledger.

    Args:
        ledger: Where they are.
        handles: Makes their handles.
        canceller: Cancels them.
        bells: Returns what tells workers that one may run.
        bulkheads: What is set for each bulkhead, by name.
        limits: Returns what bounds how many run.
        breakers: Returns the circuit breakers.
        max_outvoted: Votes that a worker may lose before it takes part in no more of them; None for any number.
    """

    def __init__(
        self,
        ledger: Ledger,
        handles: Handles,
        canceller: Canceller,
        bells: Callable[[], Bells],
        *,
        bulkheads: Mapping[str, BulkheadSettings],
        limits: Callable[[], Limits],
        breakers: Callable[[], Breakers],
        max_outvoted: int | None = None,
    ) -> None:
        self._ledger = ledger
        self._handles = handles
        self._search = JobSearch(ledger, handles.tasks)
        self._canceller = canceller
        self._bells = bells
        self._bulkheads = bulkheads
        self._limits = limits
        self._breakers = breakers
        self._max_outvoted = max_outvoted

    def get(self, job_id: str) -> JobHandle[Any]:
        """Return the handle of a job.

        Raises:
            JobNotFound: The ledger has no job of that id.
        """
        return self._handles.to(job_id).refresh()

    def find(self, text: str) -> JobHandle[Any]:
        """Return the handle of the job that a person means: by its id, or by how only its id begins or ends.

        Raises:
            JobNotFound: The ledger has no such job.
            AmbiguousId: It has several.
        """
        return self.get(self._ledger.direct(lambda c: lookup.find_job_id(c, text)))

    def list(
        self, *, limit: int = 100, after: str | None = None, **filters: Unpack[JobFilters]
    ) -> builtins.list[JobHandle[Any]]:
        """Return jobs, the newest first.

        Args:
            limit: The most to return.
            after: The id of the last job of the page before.
            filters: Which ones; see :class:`~perdure.submit.typed_options.JobFilters`.

        Raises:
            InvalidArguments: A filter is unknown or its value not allowed.
        """
        return [self._handles.of(record) for record in self.search(limit=limit, after=after, **filters).jobs]

    def search(
        self, *, limit: int = 100, after: str | None = None, within: int | None = None, **filters: Unpack[JobFilters]
    ) -> Found:
        """Return the records of jobs as :meth:`list` does, and where the search goes on.

        Args:
            limit: The most to return.
            after: The id after which it goes on.
            within: The most jobs that are looked through for a text; None for all.
            filters: Which ones; those of :meth:`list`.

        Raises:
            InvalidArguments: A filter is unknown or its value not allowed.
        """
        which, text = job_filter(**filters)
        return self._search.find(which, text, limit=limit, after=after, within=within)

    def count(self, by: str = "state", **filters: Unpack[JobFilters]) -> dict[str, int]:
        """Return how many jobs there are by ``state``, ``task`` or ``bulkhead``; what has none is left out.

        Args:
            by: What they are counted by.
            filters: Which ones; those of :meth:`list`.

        Raises:
            InvalidArguments: Jobs cannot be counted by that, or a filter is unknown or its value not allowed.
        """
        if by not in COUNTABLE:
            raise InvalidArguments(f"count(by={by!r}) is not known. Allowed: {', '.join(COUNTABLE)}")
        which, text = job_filter(**filters)
        return self._search.count(which, text, by) if text else self._ledger.jobs.count(by, **asdict(which))

    def why(self, job_id: str) -> builtins.list[Reason]:
        """Return why a job is not running now, the strongest reason first.

        Raises:
            JobNotFound: The ledger has no job of that id.
        """
        bulkhead = self._bulkheads.get(self._ledger.jobs.get(job_id).bulkhead)
        facts = self._ledger.jobs.waiting(job_id, bulkhead.limit if bulkhead else None, self._max_outvoted)
        if facts.breaker is not None and not facts.state.is_final:
            wait = self._breakers()[facts.breaker].next_probe_in()
            facts = replace(facts, breaker_wait=wait or None)
        if facts.limit_key is not None and not facts.state.is_final:
            limits = self._limits()
            active = limits.active(facts.task, facts.limit_key)
            facts = replace(facts, task_limit=limits.of_task(facts.task), task_active=active)
        return waiting_reasons.explain(facts)

    def cancel(self, job_id: str, reason: str = "cancelled") -> bool:
        """Cancel a job, and its replicas if it has some; see :meth:`JobHandle.cancel`.

        Raises:
            JobNotFound: The ledger has no job of that id.
        """
        return self._canceller.cancel(job_id, reason)

    def restore(self, job_id: str, reason: str = "its cancel was taken back") -> bool:
        """Take a job's cancel back, and that of its replicas: it waits again, and goes on from its checkpoint.

        Possible as long as the job is remembered: the setting ``retention``.

        Returns:
            False when the job is not cancelled.

        Raises:
            JobNotFound: The ledger has no job of that id, or has it no more.
        """
        self._ledger.jobs.get(job_id)
        bulkhead = self._ledger.jobs.restore(job_id, reason)
        if bulkhead is None:
            return False
        for replica in self._ledger.running.replicas_of(job_id):
            self.restore(replica.id, reason)
        self._bells().ring(bulkhead)
        return True

    def cancel_replicas(self, job_id: str, reason: str) -> None:
        """Cancel those replicas of a job that have not ended."""
        self._canceller.cancel_replicas(job_id, reason)

    def run_now(self, job_id: str) -> bool:
        """Run a job as soon as a worker is free instead of at its time.

        Returns:
            False when the job does not wait for a time.

        Raises:
            JobNotFound: The ledger has no job of that id.
        """
        self._ledger.jobs.get(job_id)
        bulkhead = self._ledger.jobs.bring_forward(job_id)
        if bulkhead is not None:
            self._bells().ring(bulkhead)
        return bulkhead is not None


def job_filter(**given: Any) -> tuple[JobFilter, str]:
    """Return the filter that a caller describes, a user interface as well, and the text that is sought besides.

    None and empty texts count as not given.

    Args:
        given: See :class:`~perdure.submit.typed_options.JobFilters`.

    Raises:
        InvalidArguments: A name or a value is not allowed; the message says what is.
    """
    which: dict[str, Any] = {name: value for name, value in given.items() if value not in (None, "")}
    for name in which:
        if name not in FILTERS:
            raise InvalidArguments(
                f"jobs are not found by {name!r}.{did_you_mean(name, FILTERS)} Allowed: {', '.join(FILTERS)}"
            )
    if "state" in which:
        which["state"] = _state(which["state"])
    if "tag" in which:
        which["tag"] = as_tag(which["tag"])
    for name in ("since", "until"):
        if name in which:
            which[name] = moment(name, which[name])
    text = str(which.pop("text", ""))
    return JobFilter(**which), text


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
