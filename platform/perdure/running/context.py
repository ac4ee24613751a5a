"""What a running job knows of itself and can ask of the platform."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, overload

import msgspec

from perdure.errors import TransactionMisused
from perdure.ledger import Ledger
from perdure.model.job_log import JobLog, LogBounds
from perdure.model.records import Claim
from perdure.model.retry_policy import RetryPolicy
from perdure.model.signature import TakenFirst
from perdure.model.tick_keys import tick_of
from perdure.running.attempt import RunningAttempt
from perdure.running.checkpoint import MAIN, Checkpoint, Checkpoints
from perdure.running.job_logger import JobLogger
from perdure.running.loop import Iteration
from perdure.running.steps import Steps
from perdure.running.transaction import transaction
from perdure.system.fork_locks import once

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from perdure.stores.sources.cursor import Cursor

R = TypeVar("R")
T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


class JobContext(RunningAttempt, TakenFirst):
    """The context of one attempt; a job gets it when its first parameter is annotated ``JobContext``.

    Args:
        claim: The attempt's claim.
        ledger: Where checkpoints and progress go.
        log_bounds: How much is kept of what the job says.
        told: Called with each line that the job says, and whether it is to be written at once.
        how: What :class:`RunningAttempt` takes.
    """

    def __init__(
        self,
        claim: Claim,
        ledger: Ledger,
        *,
        log_bounds: LogBounds | None = None,
        told: Callable[[JobLog, bool], object] = lambda _log, _at_once: None,
        **how: Any,
    ) -> None:
        super().__init__(claim, ledger, **how)
        self._checkpoints = Checkpoints(self)
        self._steps = Steps(self)
        self._loops = 0
        self._log_bounds = log_bounds or LogBounds()
        self._told = told

    @property
    def attempt(self) -> int:
        """Which attempt this is, 1 for the first; snoozes and hand-backs do not count."""
        return self.claim.attempt

    @once
    def idempotency_key(self) -> str:
        """A key for calls to others: the job's own key, or its id.

        It is the same in every attempt, and in a replay with the same arguments: others recognise what they have done.
        """
        if self.claim.replica_of is not None:
            return self.claim.replica_of
        if self.claim.replay_of is not None:
            return self.ledger.jobs.effect_key(self.claim.job_id)
        return self.claim.idempotency_key or self.claim.job_id

    @property
    def tick(self) -> datetime | None:
        """The tick of a periodic job, in UTC, which may be long ago for one that is made up for; None for other jobs."""
        return tick_of(self.idempotency_key)

    @once
    def tags(self) -> dict[str, str]:
        """The tags with which the job was submitted."""
        return msgspec.json.decode(self.claim.tags, type=dict[str, str]) if self.claim.tags else {}

    @property
    def deadline(self) -> float | None:
        """The moment at which this attempt must have ended, epoch seconds of the ledger's clock; None for no bound."""
        bounds = [bound for bound in (self._attempt_ends_at(), self.claim.deadline) if bound is not None]
        return min(bounds) if bounds else None

    def remaining(self) -> float | None:
        """Return the seconds until the deadline, never negative; None for no bound."""
        return None if self.deadline is None else max(0.0, self.deadline - self.ledger_now())

    @once
    def checkpoint(self) -> Checkpoint:
        """The job's checkpoint; ``ctx.checkpoint.named("x")`` is another one."""
        return self._checkpoints.named(MAIN)

    def transaction(self, *, final: bool = False) -> AbstractContextManager[Connection]:
        """Open a transaction on the ledger's database for effects that happen exactly once::

            with ctx.transaction() as connection:
                connection.execute(insert(payments).values(...))
                ctx.checkpoint.save({"next": number + 1})

        The job's writes and the checkpoints and steps in the block are committed together, or none of them, and only while
        this worker holds the job. Keep it short: on SQLite nobody else writes meanwhile.

        Args:
            final: Settle the job as succeeded in the same commit. Give its result with :meth:`set_result`; the function
                should return behind the block, and nothing that it does there can undo the success.

        Raises:
            LeaseLost: Another worker has the job now; nothing was written.
            HandedBack, JobCancelled: As for a checkpoint, behind a block that saved one; it is committed.
            LedgerUnavailable: The database went away; this attempt can save nothing more, the next one finds out whether
                the block was committed. What SQLAlchemy says of the block's own statements is raised as it is.
            TransactionMisused: Another transaction of this job is open, or the job is a replica.
        """
        return transaction(self, final=final)

    @overload
    def iterate(
        self, source: Cursor[T], *, every: int | None = ..., seconds: float | None = ..., name: str | None = ...
    ) -> Iteration[T]: ...
    @overload
    def iterate(
        self, source: Mapping[K, V], *, every: int | None = ..., seconds: float | None = ..., name: str | None = ...
    ) -> Iteration[tuple[K, V]]: ...
    @overload
    def iterate(
        self, source: Sequence[T], *, every: int | None = ..., seconds: float | None = ..., name: str | None = ...
    ) -> Iteration[T]: ...
    @overload
    def iterate(
        self,
        source: Callable[[], Iterable[T]],
        *,
        every: int | None = ...,
        seconds: float | None = ...,
        name: str | None = ...,
    ) -> Iteration[T]: ...
    @overload
    def iterate(
        self,
        source: Callable[[Any], Iterable[tuple[T, Any]]],
        *,
        every: int | None = ...,
        seconds: float | None = ...,
        name: str | None = ...,
    ) -> Iteration[T]: ...
    def iterate(
        self,
        source: Any,
        *,
        every: int | None = None,
        seconds: float | None = None,
        name: str | None = None,
    ) -> Iteration[Any]:
        """Loop over a source so that after a crash the loop goes on where it was::

            for line in ctx.iterate(TextLines("orders.csv"), every=1000):
                ...

        Position and progress are saved by themselves, and the job hands itself back when its worker drains. Going on takes
        the same time however far the loop is: files go on at a byte, queries at a key (:class:`TextLines`,
        :class:`BinaryLines`, :class:`KeysetCursor`), lists and ranges at an index.

        Args:
            source: A sequence or range, a dict, a :class:`~perdure.stores.sources.cursor.Cursor`, a function that makes the
                items anew each time (those that are done are skipped), or a function of a position that gives pairs of an
                item and the position after it, such as a paged API's.
            every: Save after so many items.
            seconds: Save after so many seconds; the setting ``checkpoint_interval`` when neither is given.
            name: The checkpoint's name; a loop of a job that has several needs one only if their order changes.

        Returns:
            An iterator; its ``save()`` saves at once, also inside of :meth:`transaction`.

        Raises:
            TypeError: The source cannot be gone on with, such as a generator.
            CursorMismatch: It is not what it was: a file was cut short or replaced.
        """
        from perdure.stores.sources.cursor import as_cursor  # who has no loops need not load it

        self._loops += 1
        cursor = as_cursor(source)
        checkpoint = self._checkpoints.named(name or ("loop" if self._loops == 1 else f"loop-{self._loops}"))
        return Iteration(self, cursor, checkpoint, every, seconds)

    def step(
        self,
        name: str,
        function: Callable[..., R],
        /,
        *args: Any,
        retry: str | RetryPolicy = "none",
        **kwargs: Any,
    ) -> R:
        """Call a function once and record its result; an attempt that comes later gets the result and does not call it::

            quote = ctx.step("quote", ask_supplier, order_id)
            ctx.step("charge", charge, quote.cents, retry="fast")

        A process that is killed between the call and the record calls it again: give ``ctx.idempotency_key`` along to who
        can recognise it. Inside of ``ctx.transaction()`` the record commits with the block. Steps are called one after
        another, in the same order in every attempt, and in each turn of a loop under the same name.

        Args:
            name: What the step is called; a further one of the same name gets ``#2`` and so on.
            function: What to call. Its return annotation says as what its recorded result comes back.
            args: Positional arguments.
            retry: How often it is tried again within this attempt: a preset or a policy. By default a failure is the
                attempt's.
            kwargs: Keyword arguments.

        Raises:
            StepsChanged: Another step stands at this place in the record; the job waits as a dead letter.
            Unserialisable: The result has no faithful JSON form.
            LeaseLost: Another worker has the job now; nothing was recorded.
            HandedBack, JobCancelled: The step is recorded; the job goes on elsewhere, or not.
        """
        result: R = self._steps.run(name, function, args, kwargs, retry)
        return result

    @once
    def log(self) -> logging.Logger:
        """The job's own logger: ``ctx.log.info("charged %s", order.id)``.

        Its lines go to the worker's log, and the newest of them are kept with the job, without its secrets: ``perdure jobs
        logs ID``, Flower and the job's dead letter show them. They are written with the job's outcome, each second while
        it runs, and at once when it has crashed before.
        """
        claim = self.claim
        log = JobLog(claim.job_id, claim.task, claim.fence, claim.attempt, self._log_bounds)
        return JobLogger(log, self.ledger_now, lambda: self._told(log, self._is_in_danger), self._log_bounds.level)

    @property
    def _is_in_danger(self) -> bool:
        # Within a transaction nothing else is written: on SQLite that would wait for the transaction itself.
        return self.claim.crashes > 0 and self.open_transaction is None

    def set_result(self, value: Any) -> None:
        """Give the result of a job that ends with ``transaction(final=True)``; call it inside of the block.

        Raises:
            TransactionMisused: No transaction is open.
        """
        if self.open_transaction is None:
            raise TransactionMisused("set_result() belongs inside of ctx.transaction(final=True); else return the result")
        self.open_transaction.result = value

    def _attempt_ends_at(self) -> float | None:
        return None if self._timeout is None else self.claim.started_at + self._timeout
