"""Every error that perdure raises, named after what happened.

All derive from :class:`PerdureError`, so that one ``except`` catches what the platform (and not the job) reports.
A message says what happened, to what, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterable


class PerdureError(Exception):
    """Base of all errors of the platform."""


class SettingsError(PerdureError):
    """A setting is unknown or has a value that is not allowed; the message names it, its source and what is."""


class LedgerUnavailable(PerdureError):
    """The ledger's database cannot be reached or refuses to work; nothing was written."""


class LedgerOutdated(LedgerUnavailable):
    """The ledger's schema is not the one of this release; run ``perdure db upgrade``."""


class LedgerMissing(LedgerUnavailable):
    """There is no ledger yet: nothing was submitted, and no platform was started there. Reading makes none."""


class NotStarted(PerdureError):
    """No platform was ever started where a job is to be submitted, so nothing would run it."""


class BrokerUnavailable(PerdureError):
    """The broker cannot be reached. Jobs are in the ledger, and workers look there by themselves."""


class UnknownTask(PerdureError, LookupError):
    """No task of that name is registered in this application."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        super().__init__(f"{name!r} is not registered.{did_you_mean(name, known)} Known tasks: perdure jobs tasks")
        self.name = name


class UnknownBulkhead(PerdureError, LookupError):
    """No bulkhead of that name is configured."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        known = list(known)
        super().__init__(
            f"bulkhead {name!r} is not configured.{did_you_mean(name, known)} Configured: {', '.join(sorted(known))}"
        )
        self.name = name


class UnknownSchedule(PerdureError, LookupError):
    """This application has no periodic jobs of that name."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        super().__init__(f"{name!r} is no schedule.{did_you_mean(name, known)} Known schedules: perdure schedules list")
        self.name = name


class NoSuchAlert(PerdureError, LookupError):
    """There is no alert rule of that name, or no notifier."""


class DuplicateTask(PerdureError, ValueError):
    """Two different functions were registered under one task name."""


class InvalidJobDefinition(PerdureError, TypeError):
    """A function cannot be a job as it is declared (signature, option or annotation)."""


class InvalidArguments(PerdureError, TypeError):
    """Arguments do not fit the task's signature; nothing was written."""


class Unserialisable(PerdureError, TypeError):
    """A value has no faithful JSON form; nothing was written."""


class IdempotencyConflict(PerdureError):
    """The idempotency key was used before with other arguments."""

    def __init__(self, task: str, key: str, job_id: str) -> None:
        super().__init__(
            f"{task}: idempotency key {key!r} belongs to job {job_id}, which was submitted with other arguments. "
            "Use another key, or the same arguments."
        )
        self.task, self.key, self.job_id = task, key, job_id


class BulkheadFull(PerdureError):
    """A bulkhead refuses more work: its depth or its concurrency limit is reached."""


class JobNotFound(PerdureError, LookupError):
    """The ledger has no job of that id."""


class DeadLetterNotFound(PerdureError, LookupError):
    """The ledger has no dead letter of that id."""


class AmbiguousId(PerdureError, LookupError):
    """Several ids begin or end with what was given; ``ids`` names some of them."""

    def __init__(self, part: str, what: str, ids: list[str], *, more: bool) -> None:
        super().__init__(
            f"{part!r} is not enough: several {what.replace('_', ' ')} begin or end so: {', '.join(ids)}"
            f"{', and more' if more else ''}. Give more of the id."
        )
        self.ids = ids


class ReplayRefused(PerdureError):
    """A dead letter is not to be replayed now: it was discarded, or its circuit breaker is open. ``force`` does it."""


class JobDead(PerdureError):
    """The awaited job ended as a dead letter."""

    def __init__(self, message: str, *, job_id: str, dead_letter_id: str | None) -> None:
        super().__init__(message)
        self.job_id, self.dead_letter_id = job_id, dead_letter_id


class JobCancelled(PerdureError):
    """The awaited job was cancelled, or the running job is asked to stop because it was cancelled."""


class JobNotFinished(PerdureError):
    """The job has no result yet; ``wait()`` for it first."""


class LeaseLost(PerdureError):
    """This worker no longer holds the job: its fence is stale and nothing that it writes has an effect."""


class HandedBack(PerdureError):
    """The worker drains: the job stops at this checkpoint and goes on elsewhere. Do not catch it."""


class CommitWasInDoubt(PerdureError):
    """A commit of this attempt that seemed to fail did happen; the next attempt goes on behind it. Do not catch it."""


class CheckpointTooLarge(PerdureError, ValueError):
    """A state is larger than a checkpoint may be; nothing was saved."""


class TransactionMisused(PerdureError):
    """``ctx.transaction()`` was used in a way that it cannot keep its promise for."""


class BackupFailed(PerdureError):
    """A backup cannot be made, is damaged, or does not fit where it is to be restored; the message says what to do."""


class NotAWorker(PerdureError):
    """A task was run by its Celery name; jobs are run from the ledger, by perdure workers."""


class InjectedFault(PerdureError):
    """Something failed because somebody wanted it to: the message names the injected fault and its owner."""


class InvalidFault(PerdureError, ValueError):
    """A fault cannot be injected as it is described; the message says what can."""


class FaultsNotAllowed(PerdureError):
    """Faults are injected where the setting ``faults_allowed`` allows it, and nowhere else."""


class FaultsInjected(PerdureError):
    """Faults are being injected on purpose: what fails may fail because of them."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the closest of the known names, or an empty string."""
    from difflib import get_close_matches

    close = get_close_matches(name, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
