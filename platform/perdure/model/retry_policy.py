"""Retry policies: which errors are tried again, how often and after which delay.

The delay is computed by tenacity's wait strategies: exponential with full jitter,
``uniform(0, min(max_delay, base * 2 ** (n - 1)))`` before retry *n*
(https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). With ``jitter=False`` it is the upper bound
itself: ``standard`` then waits 1, 2 and 4 s.
"""

from __future__ import annotations

import builtins
import random
from typing import Any, cast

from msgspec import Struct
from msgspec.structs import force_setattr

from perdure.errors import InvalidJobDefinition, did_you_mean
from perdure.model.clock import LONGEST_DELAY
from perdure.model.jitter import JITTER

ExceptionTypes = tuple[type[BaseException], ...]


class RetryPolicy(Struct, frozen=True):
    """When and how often a failed attempt is repeated.

    Args:
        max_retries: Retries after the first attempt; 0 means never.
        base: Upper bound of the first delay, in seconds.
        max_delay: Upper bound of every delay, in seconds.
        retry_on: Exception types that are retried. ``Exception`` stands for all that a job raises, also for what derives
            from ``BaseException`` alone: the ``CancelledError`` of a task that it awaited, a Rust extension's panic.
        give_up_on: Exception types that are not, even if ``retry_on`` has a base of theirs.
        max_elapsed: Seconds since the job's first attempt after which no retry starts; None for no bound.
        jitter: Whether the delay is drawn from ``[0, bound]`` (full jitter) or is the bound.
    """

    max_retries: int = 3
    base: float = 1.0
    max_delay: float = 30.0
    retry_on: ExceptionTypes = (Exception,)
    give_up_on: ExceptionTypes = ()
    max_elapsed: float | None = None
    jitter: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.max_retries, int) or self.max_retries < 0:
            raise InvalidJobDefinition(f"RetryPolicy: max_retries={self.max_retries!r} must be a whole number from 0 on.")
        for field in ("base", "max_delay", "max_elapsed"):
            seconds = getattr(self, field)
            if not (_is_duration(seconds) or (seconds is None and field == "max_elapsed")):
                raise InvalidJobDefinition(f"RetryPolicy: {field}={seconds!r} must be a number of seconds, not negative.")
        for field in ("retry_on", "give_up_on"):
            force_setattr(self, field, _exception_types(field, getattr(self, field)))

    def retries(self, error: BaseException) -> bool:
        """Return whether this kind of error is worth another attempt."""
        kind = type(error)
        if issubclass(kind, self.give_up_on):
            return False
        return issubclass(kind, self.retry_on) or (
            Exception in self.retry_on and not issubclass(kind, (Exception, *_ENDINGS))
        )

    def delay(self, retry_number: int, rng: random.Random | None = None) -> float:
        """Return the seconds to wait before a retry.

        Args:
            retry_number: 1 for the first retry.
            rng: Randomness for the jitter, uniform in [0, bound]; that of :mod:`perdure.model.jitter` by default.
        """
        import tenacity  # here: it loads what else is installed, Tornado too, and who only submits retries nothing

        attempt = tenacity.RetryCallState(cast(Any, None), None, (), {})
        attempt.attempt_number = builtins.max(retry_number, 1)
        bound = float(tenacity.wait_exponential(multiplier=self.base, max=self.max_delay)(attempt))
        if not self.jitter:
            return bound
        return (rng or JITTER).uniform(0.0, bound)

    @classmethod
    def named(cls, name: str | RetryPolicy) -> RetryPolicy:
        """Return a preset by its name (``fast``, ``standard``, ``slow``, ``none``); a policy returns itself.

        Raises:
            InvalidJobDefinition: No preset has that name.
        """
        if isinstance(name, RetryPolicy):
            return name
        if name not in PRESETS:
            raise InvalidJobDefinition(
                f"retry={name!r} is no preset.{did_you_mean(str(name), PRESETS)} Presets: {', '.join(PRESETS)}"
            )
        return PRESETS[name]


#: What ends a process or a generator, and is no failure.
_ENDINGS = (SystemExit, KeyboardInterrupt, GeneratorExit)


def _is_duration(seconds: Any) -> bool:
    return isinstance(seconds, (int, float)) and 0 <= seconds <= LONGEST_DELAY


def _exception_types(field: str, value: Any) -> ExceptionTypes:
    types = tuple(value) if isinstance(value, (tuple, list, set, frozenset)) else (value,)
    if not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in types):
        raise InvalidJobDefinition(f"RetryPolicy: {field}={value!r} must be exception types.")
    return types


PRESETS: dict[str, RetryPolicy] = {
    "none": RetryPolicy(max_retries=0),
    "fast": RetryPolicy(max_retries=2, base=0.1, max_delay=1.0),
    "standard": RetryPolicy(max_retries=3, base=1.0, max_delay=30.0),
    "slow": RetryPolicy(max_retries=5, base=5.0, max_delay=300.0),
}
