"""One attempt in a worker's child: from a claimed job to how it is to be settled. Whatever Python raises is an outcome."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from billiard.exceptions import SoftTimeLimitExceeded
from msgspec import Struct
from msgspec.structs import replace

from perdure.admission.holder import holder_of
from perdure.errors import BulkheadFull, PerdureError
from perdure.manage.masked import masked_settlement, masker_of
from perdure.model.faults.places import Point, faulty
from perdure.model.jitter import JITTER
from perdure.model.job_log import Chunk, JobLog
from perdure.model.lanes import lane_of
from perdure.model.masking import Masker
from perdure.model.outcomes import NodeUnfit, Snooze
from perdure.model.records import RELEASED, Claim, Death, Settlement
from perdure.model.settlement import Ended, TimeLimitReached, blamed, decide, time_limit, unfit
from perdure.model.states import DeadReason, Outcome, Transition
from perdure.model.text.fingerprint import fingerprint
from perdure.resilience.breaker.events import CircuitOpen
from perdure.resilience.breaker.trial_holder import trials_held_by
from perdure.resilience.service.deadline import deadline
from perdure.running.context import JobContext
from perdure.system.later import later
from perdure_workers.logs import between_jobs, in_job
from perdure_workers.recovery.outage import until_the_ledger_is_back
from perdure_workers.worker.attempt_span import attempt_span
from perdure_workers.worker.error_tracker import tell_death, told_apart
from perdure_workers.worker.log_keeper import LogKeeper
from perdure_workers.worker.time_limit import soft_time_limit, time_for_calls

if TYPE_CHECKING:
    from perdure import Perdure, Task
    from perdure_workers.worker import replicas
else:
    (replicas,) = later("perdure_workers.worker", "replicas")

logger = logging.getLogger("perdure.execute")

#: Seconds that a draining worker's child gives slow copies of replicated checkpoints.
DRAIN_SECONDS = 5.0


class Attempt(Struct, frozen=True):
    """How one attempt ended.

    Attributes:
        settlement: What becomes of the job.
        ran: Seconds that its function ran.
        is_settled: Whether the function's own final transaction has committed the settlement.
        lane: Where the job goes back to when it was turned away.
        said: What the job has said and nobody has written yet.
        unfit: Whether it found that its node cannot do the work.
    """

    settlement: Settlement
    ran: float = 0.0
    is_settled: bool = False
    lane: str = ""
    said: Chunk | None = None
    unfit: bool = False


#: Called when a job begins, with its time limit in seconds.
Began = Callable[[Claim, float | None], None]


class Executor:
    """Runs jobs in one child; make it there.

    Args:
        app: The application.
        draining: Says whether the worker wants its jobs back.
        limit_of: Returns the time limit that an operator has set for a task.
    """

    def __init__(self, app: Perdure, draining: Callable[[], bool], limit_of: Callable[[str], float | None]) -> None:
        self._app = app
        self._draining = draining
        self._limit_of = limit_of
        self._loop = EventLoop()
        self._logs = LogKeeper(app.ledger.jobs.write_logs)

    def __call__(self, claim: Claim, began: Began) -> Attempt:
        """Run a job and return how its attempt ended, without its secrets in error and traceback; never raises.

        Args:
            claim: The claim, begun at this moment.
            began: Called before its function is.
        """
        mask = masker_of(claim, self._app.tasks.get(claim.task), self._app.ledger.vault)
        with attempt_span(claim, seals=self._app.ledger.vault.seals) as made, told_apart(claim):
            in_job(claim, mask, made.trace_id)
            attempt = self._masked(claim, began, mask)
            made.ended(attempt.settlement)
        return attempt

    def _masked(self, claim: Claim, began: Began, mask: Masker) -> Attempt:
        self._logs.begin(claim, mask)
        attempt = self._run(claim, began, mask)
        between_jobs()
        if (said := self._logs.end()) is not None:
            attempt = replace(attempt, said=said)
        if attempt.settlement.error is None:
            return attempt
        try:
            return replace(attempt, settlement=masked_settlement(attempt.settlement, mask))
        except BaseException as error:  # noqa: BLE001 - what may hold a secret is not recorded
            logger.error("%s %s: its error cannot be shown (%s)", claim.task, claim.job_id, type(error).__name__)
            return replace(attempt, settlement=untold(attempt.settlement, error))

    def _run(self, claim: Claim, began: Began, mask: Masker) -> Attempt:
        died = partial(tell_death, mask=mask, seals=self._app.ledger.vault.seals)
        run = Run(self._app, claim, self._loop, self._draining, self._logs.told, died)
        try:
            limit = time_limit(claim, self._limit_of(claim.task) or self._app.task(claim.task).timeout)
            if claim.deadline is not None and claim.started_at >= claim.deadline:
                return Attempt(RELEASED)  # a supervisor makes a dead letter of it
            began(claim, limit)
            return run(limit)
        except BaseException as error:
            logger.exception("%s %s failed outside of its function", claim.task, claim.job_id)
            return Attempt(self._failed(claim, error))

    def close(self) -> None:
        """End the child's event loop."""
        self._loop.close()

    def _failed(self, claim: Claim, error: BaseException) -> Settlement:
        try:
            return decide(Ended(error=error), claim, self._app.task(claim.task).retry, JITTER)
        except BaseException as again:  # noqa: BLE001 - as above
            return undescribed(claim, again)


def undescribed(claim: Claim, error: BaseException) -> Settlement:
    """Return the settlement of an attempt of which nothing better can be said: a dead letter, so that people see it."""
    name = type(error).__name__
    death = Death(DeadReason.EXHAUSTED, fingerprint(claim.task, name, "undescribed", []))
    told = f"the attempt's outcome could not be recorded ({name}); the worker's log has more"
    return Settlement(Transition.DIE, Outcome.FAILED, error_type=name, error=told, death=death)


def untold(settlement: Settlement, why: BaseException) -> Settlement:
    """Return a settlement that says nothing of its error, because that may hold a secret."""
    text = f"its text is not shown: taking secrets out of it failed ({type(why).__name__})"
    return replace(settlement, error=text, traceback=None)


class Run:
    """One run of a job's function, with all that guards it."""

    def __init__(
        self,
        app: Perdure,
        claim: Claim,
        loop: EventLoop,
        draining: Callable[[], bool],
        told: Callable[[JobLog, bool], object],
        died: Callable[[BaseException], object],
    ) -> None:
        self._app = app
        self._told, self._died = told, died
        self._claim = claim
        self._task: Task[..., Any] = app.task(claim.task)
        self._loop = loop
        self._draining = draining
        self._context: JobContext | None = None
        self._has_begun = False

    def __call__(self, limit: float | None) -> Attempt:
        """Run the job, for at most ``limit`` seconds, and return how that ended."""
        claim, task = self._claim, self._task
        if task.replicas > 1 and claim.replica_of is None:
            return Attempt(self._coordinate())
        started = time.monotonic()
        with ExitStack() as permits:
            ended = self._held(permits) or self._ended(limit)
        ended = replace(ended, ran=time.monotonic() - started)
        settled = self._context.settlement if self._context is not None else None
        if settled is not None:
            # Its last transaction carried the settlement; whatever came after it cannot undo that.
            if ended.error is not None:
                logger.error("%s %s raised after its final transaction", claim.task, claim.job_id, exc_info=ended.error)
            return Attempt(settled, ended.ran, is_settled=True)
        if isinstance(ended.error, CircuitOpen):
            return self._turned_away(ended.error, ended.ran)
        if isinstance(ended.error, NodeUnfit):
            return Attempt(unfit(claim, self._app.settings.max_crashes, ended.error), ended.ran, unfit=True)
        settlement = blamed(decide(ended, claim, task.retry, JITTER), task.breaker)
        if ended.error is not None and settlement.transition is Transition.DIE:
            self._tell_death(ended.error)
        return Attempt(replicas.answered(settlement) if claim.replica_of else settlement, ended.ran)

    def _tell_death(self, error: BaseException) -> None:
        try:
            self._died(error)
        except Exception:
            logger.exception("nobody is told what %s %s died of", self._claim.task, self._claim.job_id)

    def _coordinate(self) -> Settlement:
        try:
            return until_the_ledger_is_back(lambda: replicas.coordinate(self._app, self._claim, self._task))
        except PerdureError as error:  # cancelled, or its arguments or answers cannot be read
            return decide(Ended(error=error), self._claim, self._task.retry, JITTER)

    def _held(self, permits: ExitStack) -> Ended | None:
        """Take the permits that a job needs, or say that it has to wait; a job without limits costs nothing here."""
        if self._claim.limit_key is None:
            return None
        try:
            self._app.limits.hold(self._claim, permits)
        except BulkheadFull as full:
            return Ended(error=Snooze(self._app.limits.snooze(JITTER), str(full)))
        return None

    def _turned_away(self, refused: CircuitOpen, ran: float) -> Attempt:
        """Give a job back whose breaker is open; one whose function had begun is put off until the next try."""
        claim = self._claim
        if not self._has_begun:
            is_replica = claim.replica_of is not None
            lane = lane_of(claim.task, limit_key=claim.limit_key, breaker=claim.breaker, is_replica=is_replica)
            return Attempt(RELEASED, ran, lane=lane)
        recovery = self._app.breakers[refused.name].config.recovery_timeout
        snooze = Snooze(
            refused.retry_after_s + JITTER.uniform(0, recovery / 10), f"circuit breaker {refused.name!r} is open"
        )
        return Attempt(decide(Ended(error=snooze, ran=ran), claim, self._task.retry, JITTER), ran)

    def _ended(self, limit: float | None) -> Ended:
        try:
            with soft_time_limit(limit), deadline(time_for_calls(limit)), trials_held_by(holder_of(self._claim)):
                value = contextvars.copy_context().run(self._call, limit)
            # Encoded here, so that a result that JSON cannot carry is the job's error.
            return Ended(result=self._task.signature.encode_result(value))
        except SoftTimeLimitExceeded as error:
            reached = TimeLimitReached(f"ran longer than its timeout of {limit or 0.0:g} s")
            return Ended(error=reached.with_traceback(error.__traceback__))
        except (SystemExit, KeyboardInterrupt, GeneratorExit) as error:
            wrapped = RuntimeError(f"the job raised {type(error).__name__}: {error}")
            return Ended(error=wrapped.with_traceback(error.__traceback__))
        except BaseException as error:  # noqa: BLE001 - whatever a job raises is its outcome
            return Ended(error=error)
        finally:
            if self._draining():
                self._app.storage.drain(DRAIN_SECONDS)

    def _call(self, limit: float | None) -> Any:
        claim, task = self._claim, self._task
        args, kwargs = task.signature.decode(*self._app.ledger.vault.call_of(claim))
        if task.signature.takes_context:
            self._context = self._new_context(limit)
            args.insert(0, self._context)

        def run() -> Any:
            self._has_begun = True
            value = task.function(*args, **kwargs)
            return self._loop.run(value) if inspect.isawaitable(value) else value

        call = faulty(run, Point.RUN, task=claim.task, bulkhead=claim.bulkhead)
        return call() if task.breaker is None else self._app.breakers[task.breaker].call(call)

    def _new_context(self, limit: float | None) -> JobContext:
        return JobContext(
            self._claim,
            self._app.ledger,
            timeout=limit,
            draining=self._draining,
            progress_interval=self._app.settings.progress_interval,
            storage=self._app.storage,
            state_policy=self._task.state,
            returns=self._task.signature.returns,
            log_bounds=self._app.settings.log_bounds,
            told=self._told,
        )


class EventLoop:
    """A child's event loop, the same for all its jobs, so that a client that one of them made serves the next."""

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None

    def run(self, awaitable: Any) -> Any:
        """Return what an awaitable returns; what its job left running is cancelled when it fails."""
        if self._runner is None:
            self._runner = asyncio.Runner()

        async def main() -> Any:
            return await awaitable

        try:
            return self._runner.run(main(), context=contextvars.copy_context())
        except BaseException:
            self._cancel_all()
            raise

    def close(self) -> None:
        """Close it."""
        if self._runner is not None:
            self._runner.close()

    def _cancel_all(self) -> None:
        """Cancel what runs: an interrupted job's tasks would go on in the next job's time."""
        assert self._runner is not None
        loop = self._runner.get_loop()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
