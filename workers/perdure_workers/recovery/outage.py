"""Outlasting an outage of the ledger: what must be recorded is tried again until it is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import tenacity

from perdure.errors import LedgerOutdated, LedgerUnavailable

logger = logging.getLogger("perdure.outage")

Result = TypeVar("Result")

#: Seconds between two tries: short at first, since most outages are a restart.
FIRST_WAIT, LONGEST_WAIT = 0.05, 2.0


def until_the_ledger_is_back(work: Callable[[], Result], timeout: float | None = None) -> Result:
    """Return what ``work`` returns, trying again with backoff for as long as the ledger is not reached.

    Args:
        work: What to do; must be safe to repeat, since a failed commit may have happened.
        timeout: Seconds after which to give up; None for never.

    Raises:
        LedgerUnavailable: The time is over.
    """
    try:
        return work()  # nearly always; tenacity's machinery costs as much as a statement
    except LedgerUnavailable as error:
        if not _is_outage(error):
            raise
        _log_outage(error)
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_outage),
        wait=tenacity.wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
        stop=tenacity.stop_never if timeout is None else tenacity.stop_after_delay(timeout),
        before_sleep=_log,
        reraise=True,
    )
    return retrying(work)


def _is_outage(error: BaseException) -> bool:
    return isinstance(error, LedgerUnavailable) and not isinstance(error, LedgerOutdated)


def _log(state: tenacity.RetryCallState) -> None:
    if state.attempt_number == 10 or state.attempt_number % 100 == 0:
        _log_outage(state.outcome.exception() if state.outcome else None)


def _log_outage(error: BaseException | None) -> None:
    logger.warning("waiting for the ledger: %s", error)
