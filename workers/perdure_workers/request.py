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

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            # A job's limits are the ledger's. What a message says of limits counts no more than what it says of arguments.
            self.time_limits = (None, None)

        def on_accepted(self, pid: Any, time_accepted: float) -> None:
            """Note which child has the ticket."""
            worker.tickets_of_children[int(pid)] = str(self.id)
            super().on_accepted(pid, time_accepted)

        def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
            """Tell Flower that the job of a lost child runs again; everything else is Celery's."""
            worker.tickets_of_children.pop(int(self.worker_pid or 0), None)
            error = getattr(exc_info.exception, "exc", exc_info.exception)
            if isinstance(error, WorkerLostError):
                # FAILURE would stay in Flower for ever: a later STARTED does not replace it.
                self.send_event("task-retried", exception=f"worker lost: {error}", traceback="")
                send_failed_event = False
            return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    return TicketRequest
