"""Which dead letters are meant."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LetterFilters:
    """Conditions that a dead letter has to meet, all of them; None for no condition.

    Attributes:
        task: Its task's name.
        bulkhead: Its bulkhead.
        error: Its error type.
        text: A part of its error's message or of its arguments, in any case.
        fingerprint: Its fault.
        reason: Why it died, such as ``exhausted``.
        tag: A tag of its job, as (name, value).
        since: Written then or later, epoch seconds.
        until: Written before then, epoch seconds.
        status: ``open``, ``replayed`` or ``discarded``.
        breaker: The circuit breaker that guarded its job.
        up_to: Its id is this one or sorts before it.
    """

    task: str | None = None
    bulkhead: str | None = None
    error: str | None = None
    text: str | None = None
    fingerprint: str | None = None
    reason: str | None = None
    tag: tuple[str, str] | None = None
    since: float | None = None
    until: float | None = None
    status: str | None = None
    breaker: str | None = None
    up_to: str | None = None

    def given(self) -> dict[str, Any]:
        """Return the conditions that are not None."""
        return {name: value for name, value in asdict(self).items() if value is not None}
