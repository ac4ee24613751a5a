"""Telling Sentry of jobs that die, where the application has set it up with its Celery integration.

That integration hooks into how Celery runs a task, and jobs are run from the ledger. What it tells of a task is told here
of a job, in the same form: the error with the job's own frames, once, when the job dies and not for each retry.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import Any

from perdure.model.masking import Masker
from perdure.model.records import Claim
from perdure.system.package import PACKAGE

_NOTHING: AbstractContextManager[None] = nullcontext()
#: Where the frames are that lead to a job's own.
_OURS = (PACKAGE, __file__.removesuffix("worker/error_tracker.py"))


def told_apart(claim: Claim) -> AbstractContextManager[None]:
    """Return a context for one attempt: what it sets in Sentry's scopes is not there for the next job."""
    sentry = _sentry()
    return _NOTHING if sentry is None else _scope(sentry, claim)


@contextmanager
def _scope(sentry: Any, claim: Claim) -> Iterator[None]:
    with sentry.isolation_scope() as scope:
        scope.clear_breadcrumbs()
        scope.set_transaction_name(claim.task, source="task")
        scope.set_tag("celery_task_id", claim.job_id)
        known = {name: getattr(claim, name) for name in ("job_id", "task", "bulkhead", "attempt", "worker_name")}
        scope.set_context("perdure job", known)
        yield


def tell_death(error: BaseException, mask: Masker, *, seals: bool) -> None:
    """Tell Sentry what a job died of.

    Args:
        error: What its function raised.
        mask: Takes the call's secrets out of texts. Where it has any, values of variables are left out.
        seals: Whether errors are encrypted in the ledger; then texts are left out as well.
    """
    sentry = _sentry()
    if sentry is None:
        return
    from sentry_sdk.utils import event_from_exception

    client = sentry.get_client()
    options = {**client.options}
    if mask or seals:
        options["include_local_variables"] = False
    how = {"type": "celery", "handled": False}
    info = (type(error), error, _own_frames(error.__traceback__))
    event, hint = event_from_exception(info, client_options=options, mechanism=how)
    for value in event["exception"]["values"]:
        value["value"] = "(encrypted)" if seals else mask.text(str(value["value"]))
    sentry.capture_event(event, hint)


def _sentry() -> Any:
    """Return the package when the application uses it for Celery."""
    sentry: Any = sys.modules.get("sentry_sdk")
    return None if sentry is None or sentry.get_client().get_integration("celery") is None else sentry


def _own_frames(trace: TracebackType | None) -> TracebackType | None:
    """Leave out the frames that lead to the job's function: their variables hold the call as it is stored."""
    at = trace
    while at is not None and at.tb_frame.f_code.co_filename.startswith(_OURS):
        at = at.tb_next
    return at or trace
