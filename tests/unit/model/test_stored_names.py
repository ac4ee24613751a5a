"""Exceptions of perdure keep the names under which ledgers know them, wherever their classes move."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import perdure
from perdure import PerdureError
from perdure.model.text.described import type_name
from perdure.model.text.stored_names import present_module

#: As ledgers of released versions have them. A name may be added, and never changed.
STORED = """
perdure.control.Discard perdure.control.NodeUnfit perdure.control.RetryAfter perdure.control.Snooze
perdure.cron.CronUnreadable
perdure.decision.TimeLimitReached
perdure.errors.BulkheadFull perdure.errors.CommitWasInDoubt perdure.errors.DuplicateTask perdure.errors.HandedBack
perdure.errors.IdempotencyConflict perdure.errors.InvalidArguments perdure.errors.InvalidJobDefinition
perdure.errors.JobCancelled perdure.errors.JobDead perdure.errors.JobNotFound perdure.errors.LeaseLost
perdure.errors.LedgerUnavailable perdure.errors.SettingsError perdure.errors.UnknownTask perdure.errors.Unserialisable
perdure.extras.MissingExtra
perdure.health.CircuitOpenNow
perdure.primary_backup.ReplicaBehind
perdure.resilience.breaker_events.CircuitOpen
perdure.resilience.rate_limit.RateLimited
perdure.resilience.redis_link.SharedStateUnavailable
perdure.resilience.replication.Fenced perdure.resilience.replication.NoQuorum
perdure.resilience.timeouts.OperationTimeout
perdure.state.StateMismatch perdure.state.TypeNotGiven
perdure.steps.StepsChanged
perdure.stores.errors.BlobNotFound perdure.stores.errors.CorruptBlob perdure.stores.errors.CorruptRecord
perdure.stores.errors.CursorMismatch perdure.stores.errors.InsufficientReplicas perdure.stores.errors.InvalidRecord
perdure.stores.errors.LetterUnopened perdure.stores.errors.MissingKey perdure.stores.errors.StaleWrite
perdure.stores.errors.StoreFull perdure.stores.errors.StoreUnavailable perdure.stores.errors.Undecipherable
""".split()  # noqa: SIM905 - a list that is read


def exceptions() -> Iterator[type[BaseException]]:
    for module in pkgutil.walk_packages(perdure.__path__, "perdure."):
        if ".migrations." not in module.name:
            for found in vars(importlib.import_module(module.name)).values():
                if isinstance(found, type) and issubclass(found, BaseException) and found.__module__ == module.name:
                    yield found


def test_the_names_of_released_versions_are_still_those_of_the_same_exceptions() -> None:
    assert set(STORED) <= {type_name(kind) for kind in exceptions()}


@pytest.mark.parametrize("stored", STORED)
def test_a_stored_name_leads_to_its_class(stored: str) -> None:
    module, _, name = stored.rpartition(".")
    kind = getattr(importlib.import_module(present_module(module)), name)
    assert type_name(kind) == stored


def test_a_class_of_somebody_else_keeps_its_own_name() -> None:
    class Own(PerdureError):
        pass

    assert type_name(Own).startswith(__name__)
