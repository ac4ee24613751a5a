"""Retries of one call in place, on tenacity. For retries that survive the process, let the job's policy do it.

    charge = retrying(RetryPolicy.named("fast"), budget=RetryBudget(redis, "payments"))(charge)

A retry happens when the policy wants it, the service did not ask for a longer wait than is allowed, the deadline leaves
time for it and the budget pays. An open breaker ends it at once: ``CircuitOpen``, as any
``NotCalled``, is never retried.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, ParamSpec, TypeVar

import tenacity
from msgspec import Struct

from perdure.model.jitter import JITTER
from perdure.model.retry_policy import RetryPolicy
from perdure.resilience.decorating import decorated
from perdure.resilience.errors import NotCalled
from perdure.resilience.listeners import Listeners
from perdure.resilience.redis.link import Clock
from perdure.resilience.retry.after import retry_after
from perdure.resilience.retry.budget import RetryBudget
from perdure.resilience.service.deadline import remaining
from perdure.system.tracing import span, tracer

P = ParamSpec("P")
R = TypeVar("R")

MAX_RETRY_AFTER_S = 60.0
"""A call in place does not sit longer than this because a service asked for it; its job can come back later."""


class RetryEvent(Struct, frozen=True):
    """A call that failed: ``retry_in`` seconds it is tried again, or ``gave_up`` says why not."""

    attempt: int
    error: BaseException
    retry_in: float | None
    gave_up: str = ""


class Retrying:
    """Calls functions and repeats them when they fail. Made by :func:`retrying`, which says what is what, in seconds."""

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        budget: RetryBudget | None = None,
        max_retry_after: float = MAX_RETRY_AFTER_S,
        rng: random.Random | None = None,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        sleep_async: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.policy, self.budget, self.max_retry_after = policy, budget, max_retry_after
        self._rng = rng or JITTER
        self._clock, self._sleep, self._sleep_async = clock, sleep, sleep_async
        self._listeners: Listeners[RetryEvent] = Listeners()

    def listen(self, listener: Callable[[RetryEvent], None]) -> Callable[[], None]:
        """Call ``listener`` after each failed attempt; returns a function that unsubscribes."""
        return self._listeners.add(listener)

    def call(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn`` until it succeeds or there is a reason to give up; then its last error is raised.

        When a retry is refused, by an open breaker or a limit, that is the error of the attempt before it: the service
        has been called.
        """
        run = _Run(self)
        retrying = tenacity.Retrying(**run.strategies(), sleep=self._sleep)
        try:
            result: R = retrying(self._told(fn), *args, **kwargs)
        except NotCalled as refused:
            raise run.called_before(refused) from None
        run.succeeded()
        return result

    async def call_async(self, fn: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """Await ``fn`` until it succeeds or there is a reason to give up; then the error of :meth:`call` is raised."""
        run = _Run(self)
        retrying = tenacity.AsyncRetrying(**run.strategies(), sleep=self._sleep_async)
        try:
            result: R = await retrying(self._told_async(fn), *args, **kwargs)
        except NotCalled as refused:
            raise run.called_before(refused) from None
        run.succeeded()
        return result

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function or coroutine function."""
        return decorated(fn, self.call, self.call_async)

    def _told(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Return a function whose calls are spans where somebody traces: only if there can be several."""
        if tracer() is None or not self.policy.max_retries:
            return fn
        numbers = count(1)

        def one(*args: P.args, **kwargs: P.kwargs) -> R:
            with span("try", attributes={"perdure.try": next(numbers)}):
                return fn(*args, **kwargs)

        return one

    def _told_async(self, fn: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        if tracer() is None or not self.policy.max_retries:
            return fn
        numbers = count(1)

        async def one(*args: P.args, **kwargs: P.kwargs) -> R:
            with span("try", attributes={"perdure.try": next(numbers)}):
                return await fn(*args, **kwargs)

        return one


def retrying(policy: RetryPolicy | str, **options: Any) -> Retrying:
    """Return what repeats calls by a policy.

    Args:
        policy: a policy, or the name of a preset.
        options: ``budget`` (:class:`RetryBudget`), ``max_retry_after`` (seconds; an error that asks for a longer wait
            ends the retries, default 60), ``rng``, ``clock``, ``sleep``, ``sleep_async``.
    """
    return Retrying(RetryPolicy.named(policy), **options)


class _Run:
    """One call with its repetitions, as tenacity's strategies."""

    def __init__(self, owner: Retrying) -> None:
        self._owner, self._paid = owner, 0
        self._started = owner._clock()
        self._failed: BaseException | None = None

    def strategies(self) -> dict[str, Any]:
        return {"retry": self._worth_it, "wait": self._wait, "stop": self._stop, "reraise": True}

    def succeeded(self) -> None:
        if self._owner.budget:
            self._owner.budget.give_back(self._paid)

    def called_before(self, refused: NotCalled) -> BaseException:
        """Return the error of the attempt before a refusal, if there was one: then the service has been called."""
        if self._failed is None:
            return refused
        self._failed.add_note(f"a retry was refused: {refused}")
        return self._failed

    def _worth_it(self, state: tenacity.RetryCallState) -> bool:
        error = _error(state)
        if error is None:
            return False
        if isinstance(error, NotCalled):
            return self._give_up(state, error, "refused before the service was called")
        self._failed = error
        policy = self._owner.policy
        # A task that is cancelled must end: here CancelledError and its like are retried only where they are named.
        if not isinstance(error, (Exception, *policy.retry_on)) or not policy.retries(error):
            return self._give_up(state, error, "not retried by the policy")
        return True

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = _error(state)
        assert error is not None
        delay = self._owner.policy.delay(state.attempt_number, self._owner._rng)
        return max(delay, retry_after(error) or 0.0)

    def _stop(self, state: tenacity.RetryCallState) -> bool:
        error = _error(state)
        assert error is not None
        why = self._reason_to_stop(state, error)
        if why:
            self._give_up(state, error, why)
            return True
        self._owner._listeners.emit(RetryEvent(state.attempt_number, error, state.upcoming_sleep))
        return False

    def _reason_to_stop(self, state: tenacity.RetryCallState, error: BaseException) -> str | None:
        policy, wait = self._owner.policy, state.upcoming_sleep
        if state.attempt_number > policy.max_retries:
            return "retries used up"
        if (retry_after(error) or 0) > self._owner.max_retry_after:
            return "the service asked for a longer wait"
        if policy.max_elapsed is not None and self._owner._clock() - self._started + wait > policy.max_elapsed:
            return "max_elapsed reached"
        left = remaining()
        if left is not None and wait >= left:
            return "the deadline leaves no time"
        if self._owner.budget:
            paid = self._owner.budget.take(error)
            if paid is None:
                return "retry budget used up"
            self._paid = paid
        return None

    def _give_up(self, state: tenacity.RetryCallState, error: BaseException, why: str) -> bool:
        self._owner._listeners.emit(RetryEvent(state.attempt_number, error, None, why))
        return False


def _error(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
