"""``ctx.step``: durable steps. What a step returned is recorded; an attempt that comes later gets that and runs it no more.

Steps are known by their place in the order of calls, and by their names: a release that calls them in another order would
otherwise get another step's result. The idea is that of DBOS' and Temporal's recorded activities.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from perdure.errors import HandedBack, LedgerUnavailable
from perdure.model.codec import codec, type_hints
from perdure.model.faults.places import Point, faulty
from perdure.model.outcomes import Discard
from perdure.model.retry_policy import RetryPolicy
from perdure.running.attempt import RunningAttempt
from perdure.running.checkpoint_storage import COPIED
from perdure.system.later import later
from perdure.system.tracing import span

if TYPE_CHECKING:
    from perdure.ledger.running import steps
    from perdure.ledger.running.steps import StepRecord
else:
    (steps,) = later("perdure.ledger.running", "steps")

#: Seconds of a pause between two tries after which it is looked whether the job is to stop.
_LOOK = 0.5
#: Longest pause between two tries to record a result, in seconds.
_LONGEST_PAUSE = 5.0


class StepsChanged(Discard):
    """The steps of this release have another order than those that are recorded; the job waits as a dead letter."""


class Steps:
    """The durable steps of one attempt.

    Args:
        attempt: The attempt.
    """

    def __init__(self, attempt: RunningAttempt) -> None:
        self._attempt = attempt
        self._recorded: dict[int, StepRecord] | None = None
        self._position = 0
        self._names: Counter[str] = Counter()

    def run(
        self,
        name: str,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        retry: str | RetryPolicy,
    ) -> Any:
        """Return a step's recorded result, or run it and record that; see :meth:`JobContext.step`."""
        name, position = self._next(name)
        hint = type_hints.returned(function)
        recorded = self._find(position)
        if recorded is None:
            recorded = self._run(steps.StepRecord(position, name, "", 0), lambda: function(*args, **kwargs), hint, retry)
        elif recorded.name != name:
            raise StepsChanged(
                f"step {position} of job {self._attempt.job_id} is {name!r} now and was {recorded.name!r} when it ran. "
                "Give the job back the order of its steps, or replay it from the start"
            )
        return codec.decode_returned(self._opened(recorded), hint)

    def _next(self, name: str) -> tuple[str, int]:
        self._position += 1
        self._names[name] += 1
        count = self._names[name]
        return (name if count == 1 else f"{name}#{count}"), self._position

    def _find(self, position: int) -> StepRecord | None:
        if self._recorded is None:
            found = self._attempt.ledger.running.steps_of(self._attempt.job_id)
            self._recorded = {step.position: step for step in found}
        return self._recorded.get(position)

    def _run(self, step: StepRecord, call: Callable[[], Any], hint: Any, retry: str | RetryPolicy) -> StepRecord:
        from perdure.resilience.retry.retrying import Retrying  # who has no steps need not load it

        attempt, tries = self._attempt, 0

        def once() -> Any:
            nonlocal tries
            tries += 1
            return call()

        attempt.check_not_in_doubt()
        tried = faulty(once, Point.STEP, task=attempt.claim.task, bulkhead=attempt.claim.bulkhead)
        with span(f"step {step.name}", attributes={"perdure.step": step.position}):
            value = Retrying(RetryPolicy.named(retry), sleep=self._pause).call(tried)
        text = codec.encode_returned(value, hint, what=f"the result of step {step.name!r}")
        stored = attempt.ledger.vault.put(text, _column(step.position), attempt.job_id, attempt.claim.task)
        done = steps.StepRecord(step.position, step.name, stored, tries, attempt.fence)
        self._record(done)
        return done

    def _record(self, step: StepRecord) -> None:
        attempt = self._attempt
        if attempt.open_transaction is not None:
            attempt.open_transaction.record(step)
            return
        import tenacity  # here: see RetryPolicy

        # Its effects are there already, so the result is held until the ledger takes it.
        patiently = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(LedgerUnavailable),
            wait=tenacity.wait_exponential(multiplier=0.1, max=_LONGEST_PAUSE),
        )
        attempt.obey(patiently(attempt.ledger.running.record_step, attempt.job_id, attempt.fence, step))

    def _opened(self, step: StepRecord) -> str:
        attempt = self._attempt
        owner = attempt.claim.replay_of if step.fence == COPIED else None
        whose = owner or attempt.job_id
        return attempt.ledger.vault.get(step.result, _column(step.position), whose, attempt.claim.task)

    def _pause(self, seconds: float) -> None:
        """Wait before another try, but not longer than until the job is to stop: the step will run again elsewhere."""
        attempt, ends_at = self._attempt, time.monotonic() + seconds
        while (left := ends_at - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK))
            if attempt.draining():
                raise HandedBack(f"job {attempt.job_id} is handed back between two tries of a step: the worker drains")
            attempt.check()


def _column(position: int) -> str:
    return f"step:{position}"
