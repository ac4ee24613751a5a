"""What a worker's main process does when a child is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from billiard.exceptions import WorkerLostError
from celery.worker.request import Request

if TYPE_CHECKING:
    from perdure_workers.worker import Worker


def request_class(worker: Worker) -> type[Request]:
    """Return the Request class of a worker's tickets.

    Its hooks run on Celery's event loop: no SQL there, and no exception may get out, which could leave the worker deaf.
    """

    class TicketRequest(Request):
        """A ticket in the main process."""

        def on_timeout(self, soft: bool, timeout: float) -> None:
            """Note that the hard time limit is about to kill the child."""
            if not soft and self.worker_pid is not None:
                worker.hard_limits[int(self.worker_pid)] = timeout
            super().on_timeout(soft, timeout)

        def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
            """Tell Flower that the job of a lost child runs again; everything else is Celery's."""
            error = getattr(exc_info.exception, "exc", exc_info.exception)
            if isinstance(error, WorkerLostError):
                # FAILURE would stay in Flower for ever: a later STARTED does not replace it.
                self.send_event("task-retried", exception=f"worker lost: {error}", traceback="")
                send_failed_event = False
            return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    return TicketRequest
