"""What a job raises to the platform, or the platform to a job: it says nothing about the service that the job calls."""

from __future__ import annotations

from perdure.errors import BrokerUnavailable, HandedBack, JobCancelled, LeaseLost, LedgerUnavailable
from perdure.model.outcomes import Discard, NodeUnfit, Snooze

NO_VERDICT: tuple[type[Exception], ...] = (
    Discard,
    NodeUnfit,
    Snooze,
    HandedBack,
    JobCancelled,
    LeaseLost,
    LedgerUnavailable,
    BrokerUnavailable,
)
