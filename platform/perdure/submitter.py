"""Submit: check the call, write the job, send its ticket. The data's way through perdure begins here."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from perdure.clock import to_epoch
from perdure.errors import BulkheadFull, InvalidArguments, LedgerUnavailable
from perdure.events import JobEvent
from perdure.ids import new_id
from perdure.ledger.records import NewJob, Submitted, Ticketed
from perdure.states import JobState

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from perdure.app import Perdure
    from perdure.task import Task

#: Jobs written by one statement when many are submitted.
CHUNK = 1000
MAX_TEXT = 255


@dataclass(frozen=True, slots=True)
class SubmitOptions:
    """How a job is submitted.

    Args:
        idempotency_key: A second submit of the task with this key returns the first job, within ``idempotency_ttl``.
        idempotency_ttl: Seconds for which the key is kept; None for the setting.
        delay: Seconds to wait before the job may run.
        run_at: The moment from which the job may run.
        priority: 0 (first) to 9 (last) within the bulkhead; None for the task's own.
        bulkhead: Where to run it; None for the task's own.
        tags: Names and values by which jobs are found.
        session: The caller's SQLAlchemy session on the ledger's database: the job commits and rolls back with it.
        deadline: The moment after which the job is not to run any more.
        timeout: Seconds that one attempt may run; None for the task's own.
    """

    idempotency_key: str | None = None
    idempotency_ttl: float | None = None
    delay: float | None = None
    run_at: datetime | None = None
    priority: int | None = None
    bulkhead: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    session: Session | None = None
    deadline: datetime | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        if self.delay is not None and self.run_at is not None:
            raise InvalidArguments("give delay= or run_at=, not both")
        if self.delay is not None and not self.delay >= 0:
            raise InvalidArguments(f"delay={self.delay!r} must be a number of seconds, not negative")
        if self.run_at is not None and not isinstance(self.run_at, datetime):
            raise InvalidArguments(f"run_at={self.run_at!r} must be a datetime; for seconds from now use delay=")
        if self.priority is not None and self.priority not in range(10):
            raise InvalidArguments(f"priority={self.priority!r} must be from 0 (first) to 9 (last)")
        if self.timeout is not None and not self.timeout > 0:
            raise InvalidArguments(f"timeout={self.timeout!r} must be a positive number of seconds")
        key = self.idempotency_key
        if key is not None and not (isinstance(key, str) and 0 < len(key) <= MAX_TEXT):
            raise InvalidArguments(f"idempotency_key={key!r:.80} must be a text of 1 to {MAX_TEXT} characters")
        for tag, value in (self.tags or {}).items():
            if not (isinstance(tag, str) and isinstance(value, str) and len(tag) <= 64 and len(value) <= MAX_TEXT):
                raise InvalidArguments(f"tags: {tag!r}={value!r:.80} must be short texts (64 and {MAX_TEXT} characters)")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A job that the ledger has; ``ticketed`` says whether the broker has its ticket as well."""

    id: str
    deduplicated: bool
    ticketed: bool


class Submitter:
    """Submits jobs of one application."""

    def __init__(self, app: Perdure) -> None:
        self._app = app

    def submit(self, task: Task[..., Any], args: Sequence[Any], kwargs: dict[str, Any], how: SubmitOptions) -> Accepted:
        """Submit one job; raises what :meth:`Task.submit` says."""
        new = self._new_job(task, args, kwargs, how)
        self._await_room(new.bulkhead)
        if how.session is not None:
            return self._submit_in(how.session, new)
        [accepted] = self._write([new])
        return accepted

    def submit_many(self, task: Task[..., Any], calls: Iterable[Any], how: SubmitOptions) -> Iterator[Accepted]:
        """Submit one job for each call, in chunks as the iterable yields them."""
        if how.idempotency_key is not None:
            raise InvalidArguments("idempotency_key= is for one job; submit_many() makes several")
        stream = iter(calls)
        while chunk := [self._new_job(task, *_as_call(call), how) for call in islice(stream, CHUNK)]:
            self._await_room(chunk[0].bulkhead)
            if how.session is not None:
                yield from (self._submit_in(how.session, new) for new in chunk)
            else:
                yield from self._write(chunk)

    def submit_tick(self, task: Task[..., Any], last: float, tick: float, *, wanted: bool) -> bool:
        """Move a periodic task's schedule on to a tick and submit the tick's job.

        Args:
            task: The task, whose name is the schedule's.
            last: The tick that was fired last, as the caller knows it, epoch seconds.
            tick: The tick that is due.
            wanted: Whether it is to be run, or passed over.

        Returns:
            Whether a job was submitted; False when another supervisor was first.
        """
        new = self._new_job(task, (), {}, SubmitOptions(idempotency_key=f"tick:{tick:.3f}")) if wanted else None
        submitted = self._app.ledger.fire(task.name, last, tick, new)
        if new is None or submitted is None or submitted.deduplicated:
            return False
        self._ticket([new], [submitted])
        return True

    def send_tickets(self, tickets: Sequence[Ticketed]) -> set[str]:
        """Send tickets and return the ids of those that could not be sent; the ledger then knows of it."""
        failed = self._app.tickets.send(tickets)
        if failed:
            # If the ledger is gone as well, reconciliation finds that the job has no ticket.
            with contextlib.suppress(LedgerUnavailable):
                self._app.ledger.untick(failed)
        return set(failed)

    def _new_job(self, task: Task[..., Any], args: Sequence[Any], kwargs: dict[str, Any], how: SubmitOptions) -> NewJob:
        payload = task.signature.encode(args, kwargs)
        settings = self._app.settings
        return NewJob(
            id=new_id(),
            task=task.name,
            bulkhead=self._app.bulkheads.checked(how.bulkhead or task.bulkhead),
            args=payload.args,
            kwargs=payload.kwargs,
            payload_digest=payload.digest,
            priority=task.priority if how.priority is None else how.priority,
            delay=how.delay or None,
            run_at=to_epoch(how.run_at),
            tags=how.tags or None,
            idempotency_key=how.idempotency_key,
            idempotency_ttl=how.idempotency_ttl or settings.idempotency_ttl,
            deadline=to_epoch(how.deadline),
            timeout=how.timeout,
        )

    def _write(self, new: list[NewJob]) -> list[Accepted]:
        return self._ticket(new, self._app.ledger.submit(new))

    def _submit_in(self, session: Session, new: NewJob) -> Accepted:
        from sqlalchemy import event

        [submitted] = self._app.ledger.submit([new], session.connection())
        # once: a session is used for many transactions. A rollback leaves the listener waiting, so it is removed then.
        ended: list[Callable[[], None]] = []

        def committed(_session: Session) -> None:
            _run_all(ended)
            self._ticket([new], [submitted])

        def rolled_back(_session: Session) -> None:
            _run_all(ended)

        for name, listener in (("after_commit", committed), ("after_rollback", rolled_back)):
            event.listen(session, name, listener)
            ended.append(lambda name=name, listener=listener: event.remove(session, name, listener))  # type: ignore[misc]
        return Accepted(submitted.id, submitted.deduplicated, ticketed=False)

    def _ticket(self, new: list[NewJob], submitted: list[Submitted]) -> list[Accepted]:
        fresh = [job for job, result in zip(new, submitted, strict=True) if not result.deduplicated]
        failed = self.send_tickets([_ticket(job) for job in fresh if job.delay is None and job.run_at is None])
        for job in fresh:
            state = JobState.QUEUED if job.delay is None and job.run_at is None else JobState.SCHEDULED
            self._app.events.emit(JobEvent(job.id, job.task, job.bulkhead, None, None, state))
        return [Accepted(result.id, result.deduplicated, result.id not in failed) for result in submitted]

    def _await_room(self, bulkhead: str) -> None:
        limits = self._app.settings.bulkheads[bulkhead]
        if limits.max_depth is None:
            return
        give_up_at = time.monotonic() + (limits.overflow_timeout if limits.overflow == "wait" else 0.0)
        while self._app.ledger.depth(bulkhead, limits.max_depth) >= limits.max_depth:
            if time.monotonic() >= give_up_at:
                raise BulkheadFull(
                    f"bulkhead {bulkhead!r} has {limits.max_depth} waiting jobs, its max_depth. Submit later, "
                    "raise max_depth, or add workers."
                )
            time.sleep(0.05)


def _ticket(job: NewJob) -> Ticketed:
    return Ticketed(job.id, job.task, job.bulkhead, job.priority, job.args, job.kwargs, job.timeout, job.replay_of)


def _as_call(call: Any) -> tuple[Sequence[Any], dict[str, Any]]:
    if isinstance(call, (tuple, list)):
        return call, {}
    return ((), call) if isinstance(call, dict) else ((call,), {})


def _run_all(actions: list[Callable[[], None]]) -> None:
    while actions:
        actions.pop()()
