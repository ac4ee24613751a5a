"""A ticket in a worker's main process: what Celery's hooks note there, and what they tell Flower."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from billiard.exceptions import WorkerLostError
from celery.worker.request import Request

from perdure_workers.told import Cancelled, JobFailed

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
            self._request_dict["timelimit"] = (None, worker.time_limits.get(self.name))  # type: ignore[attr-defined]

        def on_accepted(self, pid: Any, time_accepted: float) -> None:
            """Note which child has the ticket."""
            worker.tickets_of_children[int(pid)] = str(self.id)
            super().on_accepted(pid, time_accepted)

        def on_retry(self, exc_info: Any) -> None:
            """Tell Flower why the job waits and until when; Celery would show the exception's name alone."""
            error = _error(exc_info)
            self.send_event("task-retried", exception=str(error), traceback=getattr(error, "trace", ""))

        def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
            """Tell Flower how the job ended; everything else is Celery's."""
            worker.tickets_of_children.pop(int(self.worker_pid or 0), None)
            error = _error(exc_info)
            if isinstance(error, WorkerLostError):
                # Whoever takes the job back tells Flower what becomes of it. FAILURE would stay there for ever.
                send_failed_event = False
            elif isinstance(error, Cancelled):
                self.send_event("task-revoked", terminated=True, signum=None, expired=False, exception=str(error))
            elif isinstance(error, JobFailed):
                self.send_event("task-failed", exception=str(error), traceback=error.trace)
                send_failed_event = False
            return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    return TicketRequest


def _error(exc_info: Any) -> BaseException:
    # In prefork it may arrive wrapped, with the text of its traceback.
    error: BaseException = getattr(exc_info.exception, "exc", None) or exc_info.exception
    return error
