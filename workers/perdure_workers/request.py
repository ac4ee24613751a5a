"""What a worker's main process does when a child is lost or a message makes no sense."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from billiard.exceptions import WorkerLostError  # type: ignore[import-untyped]
from celery.worker.request import Request

from perdure.states import Outcome
from perdure_workers.rescue import rescue_child

if TYPE_CHECKING:
    from perdure_workers.worker import Worker

logger = logging.getLogger("perdure.request")


def request_class(worker: Worker) -> type[Request]:
    """Return the Request class of a worker's tickets.

    Hooks run on Celery's event loop: they post SQL to a thread, and let no exception out, which could leave the worker
    deaf.
    """

    class TicketRequest(Request):
        """A ticket in the main process."""

        hit_hard_limit = False

        def on_timeout(self, soft: bool, timeout: float) -> None:
            """Note that the hard time limit kills the child; ``on_failure`` follows."""
            if not soft:
                self.hit_hard_limit = True
                worker.post(lambda: _rescue(worker, self, f"killed after its hard time limit of {timeout:g} s", hard=True))
            super().on_timeout(soft, timeout)

        def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
            """Take the job of a lost child back; everything else is Celery's."""
            error = getattr(exc_info.exception, "exc", exc_info.exception)
            if isinstance(error, WorkerLostError):
                if not self.hit_hard_limit:
                    worker.post(lambda: _rescue(worker, self, str(error)))
                self.send_event("task-retried", exception=f"worker lost: {error}", traceback="")
                send_failed_event = False
            return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    return TicketRequest


def _rescue(worker: Worker, request: Request, why: str, *, hard: bool = False) -> None:
    outcome = Outcome.TIMEOUT if hard else Outcome.CRASHED
    rescue_child(worker.app, worker.incarnation.id, request.id, request.worker_pid, why, outcome)
