"""The span of a submit, and its context in the jobs that are submitted: so that their attempts belong to the same trace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from msgspec.structs import replace

from perdure.model.new_job import NewJob
from perdure.system.tracing import TRACEPARENT, carrier_of, span, tracer


def sending(new: Sequence[NewJob]) -> AbstractContextManager[Sequence[NewJob]]:
    """Return a context within which jobs are written; it gives them as they are to be written.

    Args:
        new: The jobs. One that has a context already, by a tag ``traceparent``, keeps it.
    """
    return nullcontext(new) if tracer() is None or not new else _sending(new)


@contextmanager
def _sending(new: Sequence[NewJob]) -> Iterator[Sequence[NewJob]]:
    tasks, bulkheads = {job.task for job in new}, {job.bulkhead for job in new}
    task = tasks.pop() if len(tasks) == 1 else None
    known = {
        "messaging.system": "perdure",
        "messaging.operation.name": "submit",
        "messaging.operation.type": "send",
        "messaging.destination.name": bulkheads.pop() if len(bulkheads) == 1 else None,
        "messaging.message.id": new[0].id if len(new) == 1 else None,
        "messaging.batch.message_count": len(new) if len(new) > 1 else None,
        "perdure.task": task,
    }
    with span(f"submit {task}" if task else "submit", "producer", known) as made:
        assert made is not None
        carrier = carrier_of(made)
        yield [_carrying(job, carrier) for job in new]


def _carrying(job: NewJob, carrier: Mapping[str, str]) -> NewJob:
    tags = job.tags or {}
    return job if TRACEPARENT in tags else replace(job, tags={**tags, **carrier})
