"""Submit: check the call, write the job, ring a bell. The data's way through perdure begins here."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from perdure.errors import BulkheadFull, InvalidArguments, PerdureError
from perdure.model.clock import to_epoch
from perdure.model.ids import new_id
from perdure.model.job_options import Call, SubmitOptions
from perdure.model.new_job import NewJob, Submitted
from perdure.submit.alongside import Alongside
from perdure.submit.send_span import sending
from perdure.system.fork_locks import once

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from perdure.broker.bells import Bells
    from perdure.ledger import Ledger
    from perdure.model.signature import Payload
    from perdure.model.task_spec import TaskSpec
    from perdure.settings.settings import BulkheadSettings, Settings
    from perdure.submit.after_commit import AfterCommit
    from perdure.submit.handle import Handles, JobHandle
    from perdure.submit.periodic import Periodic

#: Jobs written by one statement when many are submitted.
CHUNK = 1000
#: A job that is to run within so many seconds rings as well: until workers look by themselves its time may have passed.
RING_BEFORE = 1.0

logger = logging.getLogger("perdure.submitter")


class Submitter:
    """Submits jobs of one application.

    Args:
        settings: Its settings.
        ledger: Where jobs go.
        bells: Returns what tells workers of them.
        events: Told of each job.
        handles: Makes the handles of jobs.
    """

    def __init__(self, settings: Settings, ledger: Ledger, bells: Callable[[], Bells], handles: Handles) -> None:
        self._settings = settings
        self._ledger = ledger
        self._bells = bells
        self._handles = handles

    def submit(self, task: TaskSpec, args: Sequence[Any], kwargs: dict[str, Any], how: SubmitOptions) -> JobHandle[Any]:
        """Submit one job; raises what :meth:`Task.submit` says."""
        new = self._new_job(task, args, kwargs, how)
        self.await_room(new.bulkhead, 1)
        [accepted] = self._accept([new], how)
        return self._handles.accepted(accepted)

    def submit_many(self, task: TaskSpec, calls: Iterable[Any], how: SubmitOptions) -> list[JobHandle[Any]]:
        """Submit one job for each call, in chunks as the iterable yields them: one is written while the next one is made.

        Args:
            task: The task.
            calls: The arguments of each job.
            how: Options of all of them.

        Raises:
            InvalidArguments: Arguments do not fit, or the options are for one job; what came before is submitted.
            BulkheadFull: There is no room for the rest; the message says how many were submitted.
        """
        if how.idempotency_key is not None:
            raise InvalidArguments(
                "idempotency_key= is for one job, and submit_many() makes several; give each call its own: "
                "task.options(idempotency_key=...).call(...)"
            )
        writing: Alongside[list[Submitted]] = Alongside()
        try:
            with writing:
                for chunk in self._chunks(task, calls, how):
                    writing.end()
                    for bulkhead, count in Counter(new.bulkhead for new in chunk).items():
                        self.await_room(bulkhead, count)
                    # A smaller one is the last, or has to wait for room: nothing is to be prepared meanwhile. And a
                    # session is used by its own thread alone.
                    if len(chunk) == CHUNK and how.session is None:
                        writing.begin(partial(self._accept, chunk, how))
                    else:
                        writing.done.append(self._accept(chunk, how))
        except PerdureError as error:
            error.add_note(f"{sum(map(len, writing.done))} jobs were submitted before.")
            raise
        return [self._handles.accepted(one) for accepted in writing.done for one in accepted]

    def _chunks(self, task: TaskSpec, calls: Iterable[Any], how: SubmitOptions) -> Iterator[list[NewJob]]:
        """Yield the calls' jobs, as many at once as are written by one statement and as every bulkhead can hold."""
        chunk: list[NewJob] = []
        counts: Counter[str] = Counter()
        for call in calls:
            new = self._new_job(task, *_as_call(task, call, how))
            chunk.append(new)
            counts[new.bulkhead] += 1
            if len(chunk) == CHUNK or counts[new.bulkhead] == self._settings.bulkhead(new.bulkhead).max_depth:
                yield chunk
                chunk, counts = [], Counter()
        if chunk:
            yield chunk

    def submit_tick(self, task: TaskSpec, schedule: Periodic, last: float, tick: float, *, wanted: bool) -> bool:
        """Move a schedule on to a tick and submit the tick's job.

        Args:
            task: The schedule's task.
            schedule: The schedule.
            last: The tick that was fired last, as the caller knows it, epoch seconds.
            tick: The tick that is due.
            wanted: Whether it is to be run, or passed over.

        Returns:
            Whether a job was submitted; False when another supervisor was first.
        """
        how = SubmitOptions(idempotency_key=schedule.key(tick), delay=schedule.delay())
        new = self._new_job(task, schedule.args, dict(schedule.kwargs), how) if wanted else None
        with sending([] if new is None else [new]) as sent:
            submitted = self._ledger.schedules.fire(schedule.name, last, tick, sent[0] if sent else None)
        if new is None or submitted is None or submitted.deduplicated:
            return False
        self._announce([new], [submitted])
        return True

    def submit_ticks(self, task: TaskSpec, schedule: Periodic, ticks: Sequence[float], how: SubmitOptions) -> int:
        """Submit the jobs of a schedule's ticks, without moving it on, and return how many had none yet."""
        kwargs = dict(schedule.kwargs)
        keyed = [replace(how, idempotency_key=schedule.key(tick)) for tick in ticks]
        new = [self._new_job(task, schedule.args, kwargs, each) for each in keyed]
        self.await_room(task.bulkhead, len(new))
        return sum(not each.deduplicated for each in self._accept(new, how))

    def submit_new(self, new: list[NewJob]) -> list[Submitted]:
        """Submit jobs that were made elsewhere; those whose idempotency key is taken are there already."""
        with sending(new) as sent:
            return self._announce(sent, self._ledger.jobs.submit(sent))

    def submit_within(self, connection: Connection, task: TaskSpec, calls: Iterable[Sequence[Any]]) -> None:
        """Write jobs in a transaction on the ledger; workers find them when it is committed and they look next."""
        with sending([self._new_job(task, call, {}, SubmitOptions()) for call in calls]) as new:
            self._ledger.jobs.submit(new, connection)

    def announce(self, fresh: Sequence[NewJob], reasons: Sequence[str] = ()) -> None:
        """Ring for jobs that were written just now and emit their events; nothing raises once they are written.

        Args:
            fresh: The jobs.
            reasons: Why each was submitted, where there is something to say.
        """
        try:
            self.ring(fresh)
        except Exception:
            logger.exception("no bell was rung; workers find the jobs when they look next")
        self._ledger.jobs.submitted(fresh, reasons)

    def ring(self, new: Sequence[NewJob]) -> None:
        """Ring for jobs that may run now, or so soon that a worker would otherwise look too late."""
        counts = Counter(job.bulkhead for job in new if job.run_at is None and (job.delay or 0.0) < RING_BEFORE)
        for bulkhead, count in counts.items():
            self._bells().ring(bulkhead, count)

    def _new_job(self, task: TaskSpec, args: Sequence[Any], kwargs: dict[str, Any], how: SubmitOptions) -> NewJob:
        new = self.new_job(task, task.signature.encode(args, kwargs), args, kwargs, how)
        return self._ledger.vault.new_job(new)

    def new_job(
        self, task: TaskSpec, payload: Payload, args: Sequence[Any], kwargs: Mapping[str, Any], how: SubmitOptions
    ) -> NewJob:
        """Return a job as it is to be sealed and written.

        Args:
            task: Its task.
            payload: Its arguments as they are stored.
            args: The same as they were given.
            kwargs: Likewise, by keyword.
            how: What is to be done with it.
        """
        bulkhead = how.bulkhead or task.bulkhead
        limits = self._settings.bulkhead(bulkhead)
        return NewJob(
            id=new_id(),
            task=task.name,
            bulkhead=bulkhead,
            args=payload.args,
            kwargs=payload.kwargs,
            payload_digest=payload.digest,
            priority=task.priority if how.priority is None else how.priority,
            delay=how.delay or None,
            run_at=to_epoch(how.run_at),
            tags=how.tags or None,
            idempotency_key=how.idempotency_key,
            idempotency_ttl=how.idempotency_ttl or self._settings.idempotency_ttl,
            deadline=to_epoch(how.deadline),
            timeout=how.timeout,
            breaker=task.breaker,
            limit_key=self._limit_key(task, limits, args, kwargs, how.tags),
        )

    def _limit_key(
        self,
        task: TaskSpec,
        limits: BulkheadSettings,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        tags: Mapping[str, str],
    ) -> str | None:
        """Return the key of a limit for which a job counts; see :func:`perdure.admission.limits.limit_key`."""
        if task.limit is task.rate is limits.limit is limits.rate is None:
            return None
        from perdure.admission.limits import limit_key  # who has no limits need not load them

        call = task.signature.arguments(args, kwargs) if task.limit_by else {}
        return limit_key(task, limits, call, tags)

    def _accept(self, jobs: list[NewJob], how: SubmitOptions) -> list[Submitted]:
        self._settings.before_submit()
        with sending(jobs) as new:
            return self._written(new, how)

    def _written(self, new: Sequence[NewJob], how: SubmitOptions) -> list[Submitted]:
        if how.session is None:
            return self._announce(new, self._ledger.jobs.submit(new))
        from perdure.submit.after_commit import as_session, check_database

        session = as_session(how.session)
        check_database(session, self._ledger.database)
        submitted = self._ledger.jobs.submit(new, session.connection())
        self._after_commit.add(session, (new, submitted))
        return submitted

    @once
    def _after_commit(self) -> AfterCommit:
        from perdure.submit.after_commit import AfterCommit  # imported here: who does not need it need not wait for the ORM

        return AfterCommit(self._announce_all)

    def _announce_all(self, written: list[tuple[Sequence[NewJob], list[Submitted]]]) -> None:
        new = [job for jobs, _ in written for job in jobs]
        self._announce(new, [result for _, results in written for result in results])

    def _announce(self, new: Sequence[NewJob], submitted: list[Submitted]) -> list[Submitted]:
        self.announce([job for job, result in zip(new, submitted, strict=True) if not result.deduplicated])
        return submitted

    def await_room(self, bulkhead: str, count: int) -> None:
        """Wait until a bulkhead has room for so many jobs, as long as its ``overflow`` says.

        Raises:
            BulkheadFull: It has none.
        """
        limits = self._settings.bulkhead(bulkhead)
        if limits.max_depth is None:
            return
        give_up_at = time.monotonic() + (limits.overflow_timeout if limits.overflow == "wait" else 0.0)
        while (depth := self._ledger.jobs.depth(bulkhead, limits.max_depth)) + count > limits.max_depth:
            if time.monotonic() >= give_up_at:
                raise BulkheadFull(
                    f"bulkhead {bulkhead!r} has {depth} waiting jobs, its max_depth is {limits.max_depth}. Submit later, "
                    "raise max_depth, or add workers."
                )
            time.sleep(0.05)


def _as_call(task: TaskSpec, call: Any, how: SubmitOptions) -> tuple[Sequence[Any], dict[str, Any], SubmitOptions]:
    if isinstance(call, Call):
        if call.task != task.name:
            raise InvalidArguments(f"{task.name}.submit_many(): a call of {call.task} is none of this task")
        return call.args, dict(call.kwargs), call.how.within(how)
    if isinstance(call, (tuple, list)):
        return call, {}, how
    return ((), call, how) if isinstance(call, dict) else ((call,), {}, how)
