"""What stock Flower is told of jobs: Celery's events, many in one message, sent by the child that runs the jobs."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from perdure.broker.flower_events import error_text, retry_text
from perdure.broker.queues import queue_name
from perdure.manage.masked import masker_of
from perdure.model.masking import NOTHING, Masker, mask_call_json
from perdure.model.records import Claim, Settlement
from perdure.model.states import Transition
from perdure.model.text.cut import cut

if TYPE_CHECKING:
    from perdure import Perdure

logger = logging.getLogger("perdure.flower_events")

#: Seconds that an event waits at most for others, and how many go into one message.
LONGEST_WAIT = 0.1
PAGE = 200
#: Events that are kept for a broker that is away; more are forgotten: the ledger has them all.
MOST = 10_000
#: Seconds for which a broker that refused is left alone.
PAUSE_AFTER_FAILURE = 1.0
#: Longest text of arguments, a result or an error that Flower is shown, in characters.
MAX_SHOWN = 500
#: What Flower is shown in place of what is encrypted at rest.
HIDDEN = "(encrypted)"


class JobEvents:
    """Sends a child's events from a thread of its own.

    Args:
        app: The application.
        worker: The worker's name.
    """

    def __init__(self, app: Perdure, worker: str) -> None:
        self._app = app
        self._worker = worker
        self._seals = app.ledger.vault.seals
        self._common = {"hostname": worker, "utcoffset": time.timezone // 3600, "pid": os.getpid()}
        self._waiting: list[dict[str, Any]] = []
        celery: Any = app.celery
        self._clock = celery.clock
        self._some = threading.Event()
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="perdure-events", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        """Send what waits and end, in at most ``timeout`` seconds."""
        self._stop = True
        self._some.set()
        self._thread.join(timeout)

    def began(self, claim: Claim) -> None:
        """Tell that a job was received and started."""
        args, kwargs = (HIDDEN, HIDDEN) if self._seals else self._call(claim)
        moment = time.time()
        self._add(
            "task-received",
            claim.job_id,
            moment,
            name=claim.task,
            args=args,
            kwargs=kwargs,
            retries=claim.attempt - 1,
            routing_key=queue_name(claim.bulkhead),
            queue=queue_name(claim.bulkhead),  # celery-exporter's label
            parent_id=claim.replay_of,
        )
        self._add("task-started", claim.job_id, moment)

    def ended(self, claim: Claim, settlement: Settlement) -> None:
        """Tell how an attempt ended that is settled."""
        vault, task = self._app.ledger.vault, self._app.tasks.get(claim.task)
        mask = NOTHING if self._seals else masker_of(claim, task, vault)
        kind, fields = told_of(settlement, seals=self._seals, mask=mask)
        if settlement.transition is Transition.CANCEL:
            fields["name"] = claim.task  # it may not have begun
        self._add(kind, claim.job_id, time.time(), runtime=settlement.ran or 0.0, **fields)

    def _call(self, claim: Claim) -> tuple[str, str]:
        args, kwargs = mask_call_json(self._app.tasks.get(claim.task), claim.args, claim.kwargs)
        return cut(args, MAX_SHOWN), cut(kwargs, MAX_SHOWN)

    def _add(self, kind: str, job_id: str, moment: float, **fields: Any) -> None:
        self._waiting.append(
            {"type": kind, "uuid": job_id, "timestamp": moment, "clock": self._clock.forward(), **self._common, **fields}
        )
        if not self._some.is_set():
            self._some.set()

    def _run(self) -> None:
        while not self._stop:
            self._some.wait()
            if not self._stop:
                time.sleep(LONGEST_WAIT)  # for company
            self._some.clear()
            self._flush()

    def _flush(self) -> None:
        del self._waiting[:-MOST]
        while page := self._waiting[:PAGE]:
            try:
                self._app.event_pages.publish(page, self._worker)
            except Exception as error:  # noqa: BLE001 - any transport's own errors; what happened is in the ledger
                logger.warning("the broker is not reached (%s): Flower is told later", error)
                if not self._stop:
                    time.sleep(PAUSE_AFTER_FAILURE)
                    self._some.set()
                return
            del self._waiting[: len(page)]


def told_of(settlement: Settlement, *, seals: bool = False, mask: Masker = NOTHING) -> tuple[str, dict[str, Any]]:
    """Return the kind and the fields of the event that tells of a settled attempt.

    Args:
        settlement: How the attempt ended.
        seals: Whether values are encrypted in the ledger; then they do not go through the broker either.
        mask: Takes the call's secrets out of the result.
    """
    if settlement.transition is Transition.SUCCEED:
        return "task-succeeded", {"result": HIDDEN if seals else cut(mask.json(settlement.result or "null"), MAX_SHOWN)}
    error = HIDDEN if seals else settlement.error or ""
    text = cut(error_text(settlement.error_type, error), MAX_SHOWN)
    trace = "" if seals else settlement.traceback or ""
    if settlement.transition is Transition.DIE:
        return "task-failed", {"exception": text, "traceback": trace}
    if settlement.transition is Transition.CANCEL:
        return "task-revoked", {"terminated": True, "signum": None, "expired": False, "exception": text}
    return "task-retried", {"exception": retry_text(text, settlement.delay), "traceback": trace}
