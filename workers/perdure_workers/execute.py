"""The life of one attempt in a worker's child: claim -> run -> settle."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from billiard.exceptions import SoftTimeLimitExceeded
from celery.exceptions import Ignore

from perdure import codec
from perdure.context import JobContext
from perdure.control import Snooze
from perdure.decision import Ended, TimeLimitReached, blamed, decide, time_limit
from perdure.errors import BulkheadFull, JobNotFound, LeaseLost, PerdureError, UnknownTask
from perdure.events import JobEvent
from perdure.ledger.put_off import Delay
from perdure.ledger.records import Claim, JobRecord, Settlement
from perdure.ledger.replicas import SiblingWasHere
from perdure.resilience.breaker_events import CircuitOpen
from perdure.resilience.deadline import deadline
from perdure.states import JobState, Transition, target
from perdure_workers.outage import until_the_ledger_is_back
from perdure_workers.replicas import answered, coordinate
from perdure_workers.time_limit import soft_time_limit
from perdure_workers.told import tell, tell_unclaimed

if TYPE_CHECKING:
    from perdure import Perdure, Task
    from perdure_workers.incarnation import Incarnation

logger = logging.getLogger("perdure.execute")

#: Seconds after which another worker may get a replica that must not run on this one.
ELSEWHERE = 0.3
#: Seconds that a draining worker's child gives slow copies of replicated checkpoints.
DRAIN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt ended.

    Attributes:
        settlement: What becomes of the job.
        ran: Seconds that its function ran.
        is_settled: Whether the function's own final transaction has committed the settlement.
    """

    settlement: Settlement
    ran: float = 0.0
    is_settled: bool = False


class TicketRunner:
    """Runs the jobs of tickets in one child.

    Args:
        app: The application.
        worker: Whose child this is.
        draining: Says whether the worker wants its jobs back.
    """

    def __init__(self, app: Perdure, worker: Incarnation, draining: Callable[[], bool]) -> None:
        self._app = app
        self._worker = worker
        self._draining = draining
        self._context: JobContext | None = None
        self._rng = random.Random()  # noqa: S311 - jitter, not a secret

    def __call__(self, request: Any) -> Any:
        """Claim the job that a Celery request names, run it and settle it.

        Returns:
            What Flower shows as the result.

        Raises:
            Ignore: There is nothing to run, or the outcome does not count.
            RunsAgain, JobFailed, Cancelled: How it ended otherwise; see :mod:`perdure_workers.told`.
        """
        job_id, task_name = str(request.id), str(request.task)
        if (why := self._held_by(job_id, task_name)) is not None:
            tell_unclaimed(self._named(job_id), why)
        claim = self._claim(job_id, task_name)
        if claim is None:
            tell_unclaimed(self._named(job_id))
        with ExitStack() as permits:
            attempt = self._attempt(claim, permits, _limit_set_in_flower(request))
            try:
                self._settle(claim, attempt)
            except LeaseLost as error:
                logger.warning("%s", error)
                raise Ignore from error
        return tell(attempt.settlement, seals=self._app.ledger.vault.seals)

    def _attempt(self, claim: Claim, permits: ExitStack, set_in_flower: float | None) -> Attempt:
        task, self._context = self._task(claim), None
        if task.replicas > 1 and claim.replica_of is None:
            return Attempt(self._coordinate(claim, task))
        ended = self._held(claim, permits) or self._run(claim, set_in_flower)
        settled = self._context.settlement if self._context is not None else None
        if settled is not None:
            # Its last transaction carried the settlement; whatever came after it cannot undo that.
            if ended.error is not None:
                logger.error("%s %s raised after its final transaction", claim.task, claim.job_id, exc_info=ended.error)
            return Attempt(settled, ended.ran, is_settled=True)
        settlement = blamed(decide(ended, claim, task.retry), task.breaker)
        return Attempt(answered(settlement) if claim.replica_of else settlement, ended.ran)

    def _coordinate(self, claim: Claim, task: Task[..., Any]) -> Settlement:
        try:
            return until_the_ledger_is_back(lambda: coordinate(self._app, claim, task))
        except PerdureError as error:  # cancelled, or its arguments or answers cannot be read
            return decide(Ended(error=error), claim, task.retry)

    def _held(self, claim: Claim, permits: ExitStack) -> Ended | None:
        """Take the permits that a job needs, or say that it has to wait; a job without limits costs nothing here."""
        if claim.limit_key is None:
            return None
        try:
            self._app.limits.hold(claim, permits)
        except BulkheadFull as full:
            return Ended(error=Snooze(self._app.limits.snooze(self._rng), str(full)))
        return None

    def _held_by(self, job_id: str, task_name: str) -> str | None:
        """Put a job off whose breaker is open, before anything is tried, and return why; without one it costs nothing."""
        task = self._app.tasks.get(task_name)
        if task is None or task.breaker is None:
            return None
        breaker = self._app.breakers[task.breaker]
        wait = breaker.next_probe_in()
        if wait <= 0:
            return None
        delay = Delay(job_id, task_name, self._jittered(wait, breaker.config.recovery_timeout), _open(task.breaker))
        until_the_ledger_is_back(lambda: self._app.ledger.put_off([delay]))
        return _open(task.breaker)

    def _jittered(self, wait: float, recovery: float) -> float:
        return wait + self._rng.uniform(0, recovery / 10)

    def _claim(self, job_id: str, task_name: str) -> Claim | None:
        worker = self._worker
        try:
            claim = until_the_ledger_is_back(lambda: self._app.ledger.claim(job_id, worker.id, worker.name, os.getpid()))
        except SiblingWasHere as elsewhere:
            delay = Delay(job_id, task_name, ELSEWHERE * self._rng.uniform(0.5, 1.5), str(elsewhere))
            until_the_ledger_is_back(lambda: self._app.ledger.put_off([delay]))
            return None
        if claim is None:
            logger.info("ticket %s dropped: its job is not queued", job_id)
            return None
        waited = claim.started_at - claim.queued_at
        self._emit(claim, Transition.CLAIM, JobState.QUEUED, waited=waited)
        return claim

    def _named(self, job_id: str) -> JobRecord | None:
        try:
            return until_the_ledger_is_back(lambda: self._app.ledger.job(job_id))
        except JobNotFound:
            return None

    def _run(self, claim: Claim, set_in_flower: float | None) -> Ended:
        started = time.monotonic()
        limit: float | None = None
        try:
            task = self._app.task(claim.task)
            limit = time_limit(claim, set_in_flower or task.timeout)
            with soft_time_limit(limit), deadline(limit):
                value = self._call(task, claim, limit)
            # Encoded here, so that a result that JSON cannot carry is the job's error.
            result = codec.encode(value, what=f"the result of {claim.task}")
        except SoftTimeLimitExceeded as error:
            reached = TimeLimitReached(f"ran longer than its timeout of {limit or 0.0:g} s")
            return Ended(error=reached.with_traceback(error.__traceback__), ran=_since(started))
        except CircuitOpen as refused:
            later = self._jittered(refused.retry_after_s, self._app.breakers[refused.name].config.recovery_timeout)
            return Ended(error=Snooze(later, _open(refused.name)), ran=_since(started))
        except (SystemExit, KeyboardInterrupt, GeneratorExit) as error:
            wrapped = RuntimeError(f"the job raised {type(error).__name__}: {error}")
            return Ended(error=wrapped.with_traceback(error.__traceback__), ran=_since(started))
        except BaseException as error:  # noqa: BLE001 - whatever a job raises is its outcome
            return Ended(error=error, ran=_since(started))
        finally:
            if self._draining():
                self._app.storage.drain(DRAIN_SECONDS)
        return Ended(result=result, ran=_since(started))

    def _call(self, task: Task[..., Any], claim: Claim, limit: float | None) -> Any:
        vault, job_id = self._app.ledger.vault, claim.job_id
        args, kwargs = task.signature.decode(
            vault.get(claim.args, "args", job_id), vault.get(claim.kwargs, "kwargs", job_id)
        )
        if task.signature.takes_context:
            self._context = self._new_context(task, claim, limit)
            args.insert(0, self._context)

        def run() -> Any:
            value = task.function(*args, **kwargs)
            return asyncio.run(value) if task.is_async else value

        return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)

    def _new_context(self, task: Task[..., Any], claim: Claim, limit: float | None) -> JobContext:
        return JobContext(
            claim,
            self._app.ledger,
            timeout=limit,
            draining=self._draining,
            progress_interval=self._app.settings.progress_interval,
            storage=self._app.storage,
            state_policy=task.state,
        )

    def _settle(self, claim: Claim, attempt: Attempt) -> None:
        settlement = attempt.settlement
        if not attempt.is_settled:
            until_the_ledger_is_back(lambda: self._app.ledger.settle(claim, settlement))
        if claim.replica_of is not None:
            until_the_ledger_is_back(lambda: self._app.ledger.wake(str(claim.replica_of)))
        self._emit(claim, settlement.transition, JobState.RUNNING, reason=settlement.error or "", ran=attempt.ran)

    def _task(self, claim: Claim) -> Task[..., Any]:
        try:
            return self._app.task(claim.task)
        except UnknownTask:
            logger.exception("ticket for a task that this worker does not know")
            raise

    def _emit(self, claim: Claim, transition: Transition, source: JobState, **details: Any) -> None:
        names = (claim.job_id, claim.task, claim.bulkhead)
        event = JobEvent(*names, transition, source, target(transition), claim.attempt, **details)
        self._app.events.emit(event)


def _since(started: float) -> float:
    return time.monotonic() - started


def _limit_set_in_flower(request: Any) -> float | None:
    """Return the time limit that the worker's main process put into the request; see :mod:`perdure_workers.request`."""
    limits = getattr(request, "timelimit", None) or (None, None)
    return limits[1]


def _open(breaker: str) -> str:
    return f"circuit breaker {breaker!r} is open"
