"""What a running job knows of itself and can ask of the platform."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, TypeVar, overload

import msgspec
from sqlalchemy import Connection

from perdure.errors import CommitWasInDoubt, HandedBack, JobCancelled, TransactionMisused
from perdure.ledger import Ledger
from perdure.ledger.jobs.notes import NoteKind
from perdure.ledger.running.checkpoints import Standing
from perdure.model.checkpoint_schema import StatePolicy
from perdure.model.clock import Clock, SystemClock
from perdure.model.records import Claim, Settlement
from perdure.model.retry_policy import RetryPolicy
from perdure.running.checkpoint import MAIN, Checkpoint
from perdure.running.checkpoint_storage import Storage
from perdure.running.loop import Iteration
from perdure.running.steps import Steps
from perdure.running.transaction import OpenTransaction, transaction
from perdure.stores.sources.cursor import Cursor, as_cursor

logger = logging.getLogger("perdure.context")

R = TypeVar("R")
T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


class JobContext:
    """The context of one attempt; a job gets it when its first parameter is annotated ``JobContext``.

    Args:
        claim: The attempt's claim.
        ledger: Where checkpoints and progress go.
        timeout: The attempt's time limit in seconds, if any.
        draining: Says whether the worker wants its jobs back.
        progress_interval: Seconds between two writes of progress.
        clock: What measures those.
        storage: Where checkpoints are kept; the ledger by default.
        state_policy: The shape of the task's checkpoints.
    """

    def __init__(
        self,
        claim: Claim,
        ledger: Ledger,
        *,
        timeout: float | None = None,
        draining: Callable[[], bool] = lambda: False,
        progress_interval: float = 0.5,
        clock: Clock | None = None,
        storage: Storage | None = None,
        state_policy: StatePolicy | None = None,
        returns: Any = Any,
    ) -> None:
        self.claim = claim
        self.ledger = ledger
        self.storage = storage or Storage(ledger)
        self.state_policy = state_policy or StatePolicy()
        #: What the job's function says that it returns.
        self.returns = returns
        self.draining = draining
        #: The number of the job's checkpoint that was saved last, as this attempt knows it.
        self.last_seq = claim.checkpoint_seq
        self.open_transaction: OpenTransaction | None = None
        #: What ``transaction(final=True)`` has committed; the worker settles nothing more then.
        self.settlement: Settlement | None = None
        #: Whether a commit failed in a way that does not tell whether it happened.
        self.is_in_doubt = False
        self._checkpoints: dict[str, Checkpoint] = {}
        self._steps = Steps(self)
        self._loops = 0
        self._clock = clock or SystemClock()
        self._progress_interval = progress_interval
        self._next_progress = 0.0
        self._started = self._clock.monotonic()
        self._timeout = timeout

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self.claim.job_id

    @property
    def fence(self) -> int:
        """The claim's fence: what a write must carry to count."""
        return self.claim.fence

    @property
    def attempt(self) -> int:
        """Which attempt this is, 1 for the first; snoozes and hand-backs do not count."""
        return self.claim.attempt

    @cached_property
    def idempotency_key(self) -> str:
        """A key for calls to others: the job's own key, or its id.

        It is the same in every attempt, and in a replay with the same arguments: others recognise what they have done.
        """
        if self.claim.replica_of is not None:
            return self.claim.replica_of
        if self.claim.replay_of is not None:
            return self.ledger.effect_key(self.claim.job_id)
        return self.claim.idempotency_key or self.claim.job_id

    @cached_property
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

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The job's checkpoint; ``ctx.checkpoint.named("x")`` is another one."""
        return self.checkpoint_named(MAIN)

    def checkpoint_named(self, name: str) -> Checkpoint:
        """Return one of the job's checkpoints, the same one each time."""
        if name not in self._checkpoints:
            self._checkpoints[name] = Checkpoint(self, name)
        return self._checkpoints[name]

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
        self._loops += 1
        cursor = as_cursor(source)
        return Iteration(self, cursor, name or ("loop" if self._loops == 1 else f"loop-{self._loops}"), every, seconds)

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

    def set_result(self, value: Any) -> None:
        """Give the result of a job that ends with ``transaction(final=True)``; call it inside of the block.

        Raises:
            TransactionMisused: No transaction is open.
        """
        if self.open_transaction is None:
            raise TransactionMisused("set_result() belongs inside of ctx.transaction(final=True); else return the result")
        self.open_transaction.result = value

    def note(self, kind: NoteKind, text: str) -> None:
        """Write a note about the job for people."""
        logger.warning("%s: %s", kind.value, text)
        if self.open_transaction is None:  # on SQLite it would wait for the transaction itself
            self.ledger.note(self.job_id, kind, text)

    def check_not_in_doubt(self) -> None:
        """Stop an attempt whose memory may be older than what is committed.

        Raises:
            CommitWasInDoubt: A commit failed in a way that does not tell whether it happened.
        """
        if self.is_in_doubt:
            raise CommitWasInDoubt(
                f"job {self.job_id}: a commit of this attempt failed in a way that does not tell whether it happened. "
                "Nothing more is written; the next attempt goes on from what was committed"
            )

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Say how far the job is. Cheap: it is written at most every ``progress_interval`` seconds, and at the end.

        Inside of ``ctx.transaction()`` nothing is written: on SQLite that would wait for the transaction itself.

        Args:
            done: What is done, in any unit.
            total: What there is to do, in the same unit.
            message: A few words for people.

        Raises:
            LeaseLost: Another worker has the job now.
            HandedBack: Never here: only a checkpoint hands back.
            JobCancelled: The job was cancelled.
        """
        if self.open_transaction is not None or (not self.progress_is_due() and done != total):
            return
        self._next_progress = self._clock.monotonic() + self._progress_interval
        standing = self.ledger.report_progress(self.job_id, self.fence, done, total, message)
        if standing.cancel_requested:
            raise JobCancelled(f"job {self.job_id} was cancelled")

    def progress_is_due(self) -> bool:
        """Return whether :meth:`progress` would write something now; for loops that are too tight to ask it each time."""
        return self._clock.monotonic() >= self._next_progress

    def check(self) -> None:
        """Stop here when the job is cancelled or its lease is lost.

        Raises:
            LeaseLost: Another worker has the job now.
            JobCancelled: The job was cancelled.
        """
        if self.ledger.standing(self.job_id, self.fence).cancel_requested:
            raise JobCancelled(f"job {self.job_id} was cancelled")

    def obey(self, standing: Standing) -> None:
        """Stop when the ledger or the worker says so; called where the job's state has just been saved.

        Raises:
            JobCancelled: The job was cancelled.
            HandedBack: The worker drains.
        """
        if standing.cancel_requested:
            raise JobCancelled(f"job {self.job_id} was cancelled")
        if self.draining():
            raise HandedBack(f"job {self.job_id} is handed back at its checkpoint: the worker drains")

    def _attempt_ends_at(self) -> float | None:
        return None if self._timeout is None else self.claim.started_at + self._timeout

    def ledger_now(self) -> float:
        """Return the time by the ledger's clock, seconds since the epoch."""
        # The ledger's clock as of the claim, plus what has passed here: this machine's own clock may be wrong.
        return self.claim.started_at + self._clock.monotonic() - self._started
