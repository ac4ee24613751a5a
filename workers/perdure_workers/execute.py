"""The life of one attempt in a worker's child: claim -> run -> settle."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from billiard.exceptions import SoftTimeLimitExceeded
from celery.exceptions import Ignore

from perdure import codec
from perdure.context import JobContext
from perdure.control import Snooze
from perdure.decision import Ended, TimeLimitReached, decide, time_limit
from perdure.errors import JobNotFound, LeaseLost, UnknownTask
from perdure.events import JobEvent
from perdure.ledger.put_off import Delay
from perdure.ledger.records import Claim, JobRecord, Settlement
from perdure.resilience.breaker_events import CircuitOpen
from perdure.resilience.deadline import deadline
from perdure.states import JobState, Transition, target
from perdure_workers.outage import until_the_ledger_is_back
from perdure_workers.time_limit import soft_time_limit
from perdure_workers.told import tell, tell_unclaimed

if TYPE_CHECKING:
    from perdure import Perdure, Task
    from perdure_workers.incarnation import Incarnation

logger = logging.getLogger("perdure.execute")


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
        self._rng = random.Random()  # noqa: S311 - jitter, not a secret

    def __call__(self, request: Any) -> Any:
        """Claim the job that a Celery request names, run it and settle it.

        Returns:
            What Flower shows as the result.

        Raises:
            Ignore: There is nothing to run, or the outcome does not count.
            RunsAgain, JobFailed, Cancelled: How it ended otherwise; see :mod:`perdure_workers.told`.
        """
        if (why := self._held_by(str(request.id), str(request.task))) is not None:
            tell_unclaimed(self._named(str(request.id)), why)
        claim = self._claim(str(request.id))
        if claim is None:
            tell_unclaimed(self._named(str(request.id)))
        ended = self._run(claim, _limit_set_in_flower(request))
        settlement = decide(ended, claim, self._task(claim).retry)
        try:
            self._settle(claim, settlement, ended.ran)
        except LeaseLost as error:
            logger.warning("%s", error)
            raise Ignore from error
        return tell(settlement)

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

    def _claim(self, job_id: str) -> Claim | None:
        worker = self._worker
        claim = until_the_ledger_is_back(lambda: self._app.ledger.claim(job_id, worker.id, worker.name, os.getpid()))
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
        return Ended(result=result, ran=_since(started))

    def _call(self, task: Task[..., Any], claim: Claim, limit: float | None) -> Any:
        args, kwargs = task.signature.decode(claim.args, claim.kwargs)
        if task.signature.takes_context:
            args.insert(0, self._context(claim, limit))

        def run() -> Any:
            value = task.function(*args, **kwargs)
            return asyncio.run(value) if task.is_async else value

        return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)

    def _context(self, claim: Claim, limit: float | None) -> JobContext:
        return JobContext(
            claim,
            self._app.ledger,
            timeout=limit,
            draining=self._draining,
            progress_interval=self._app.settings.progress_interval,
        )

    def _settle(self, claim: Claim, settlement: Settlement, ran: float) -> None:
        until_the_ledger_is_back(lambda: self._app.ledger.settle(claim, settlement))
        self._emit(claim, settlement.transition, JobState.RUNNING, reason=settlement.error or "", ran=ran)

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
