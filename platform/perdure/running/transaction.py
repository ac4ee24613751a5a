"""``ctx.transaction()``: effects in the ledger's database that happen exactly once.

What the job writes there, the checkpoint that says so, and with ``final`` the job's settlement are one commit. Its last
statement checks the fence: a worker that lost its lease commits nothing. The job's row is locked by that statement and
not before, so that a worker which freezes in the middle does not keep others from taking the job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from perdure.errors import TransactionMisused
from perdure.model.codec import codec
from perdure.model.records import Settlement
from perdure.model.states import Outcome, Transition
from perdure.running.attempt import RunningAttempt, Saved
from perdure.stores.record import CheckpointRecord
from perdure.system.later import later

if TYPE_CHECKING:
    from sqlalchemy import Connection, exc

    from perdure.ledger.jobs import settle
    from perdure.ledger.running import checkpoints, steps
    from perdure.ledger.running.checkpoints import Standing
else:
    (exc,) = later("sqlalchemy", "exc")
    (settle,) = later("perdure.ledger.jobs", "settle")
    checkpoints, steps = later("perdure.ledger.running", "checkpoints", "steps")


class OpenTransaction:
    """What is to be committed with the job's own writes.

    Args:
        attempt: The attempt.
    """

    def __init__(self, attempt: RunningAttempt) -> None:
        self._attempt = attempt
        self._saves: list[tuple[Saved, Callable[[int], CheckpointRecord], int]] = []
        self._steps: list[steps.StepRecord] = []
        self._numbers: list[int] = []
        self.result: Any = None

    @property
    def carries_state(self) -> bool:
        """Whether it moves the job on, so that the job may stop behind it."""
        return bool(self._saves or self._steps)

    def save(self, checkpoint: Saved, make: Callable[[int], CheckpointRecord], previous_seq: int) -> int:
        """Add a checkpoint's version and return the number that it will have; of one checkpoint the last one counts."""
        self._saves = [each for each in self._saves if each[0] is not checkpoint]
        self._saves.append((checkpoint, make, previous_seq))
        return self._attempt.last_seq + len(self._saves)

    def record(self, step: steps.StepRecord) -> None:
        """Add a step that succeeded."""
        self._steps.append(step)

    def write(self, connection: Connection, settlement: Settlement | None) -> Standing:
        """Write all that is to be committed, the fence's check with it.

        Raises:
            LeaseLost: The fence is stale.
            CommitWasInDoubt: An earlier transaction did commit although it seemed not to.
        """
        attempt = self._attempt
        job_id, fence, expected = attempt.job_id, attempt.fence, attempt.last_seq
        standing = None
        for checkpoint, make, previous in self._saves:
            frame = _framed(attempt, make)
            seq, standing = checkpoints.save(connection, job_id, fence, checkpoint.name, frame, previous, expected)
            self._numbers.append(seq)
            expected = seq
        if standing is None:
            # Counted as well: should this commit be in doubt, a repeat finds another number than it expects.
            seq, standing = checkpoints.advance(connection, job_id, fence, expected)
            self._numbers.append(seq)
        for step in self._steps:
            steps.record(connection, job_id, fence, step)
        if settlement is not None:
            settle.settle(connection, attempt.claim, settlement)
        return standing

    def committed(self) -> None:
        """Note that all of it was saved."""
        for (checkpoint, _, _), seq in zip(self._saves, self._numbers, strict=False):
            checkpoint.saved(seq)
        self._attempt.last_seq = self._numbers[-1]


@contextmanager
def transaction(attempt: RunningAttempt, *, final: bool) -> Iterator[Connection]:
    """Yield a connection for a job's effects; see :meth:`JobContext.transaction`."""
    if attempt.claim.replica_of is not None:
        raise TransactionMisused(
            f"job {attempt.job_id} is one of several replicas, so what it writes would be written once by each of them. "
            "Return the result, and write it in a job that has no replicas"
        )
    if attempt.open_transaction is not None:
        raise TransactionMisused(f"job {attempt.job_id}: a ctx.transaction() is open already; they cannot be nested")
    attempt.check_not_in_doubt()
    work, settlement, database = OpenTransaction(attempt), None, attempt.ledger.database
    is_written = False
    try:
        with attempt.ledger.transaction() as connection:
            with database.translating():
                checkpoints.standing(connection, attempt.job_id, attempt.fence)  # a stale worker stops before it works
            attempt.open_transaction = work
            try:
                with database.translating_theirs(connection):
                    yield connection
            finally:
                attempt.open_transaction = None
            if final:
                settlement = _succeeded(attempt, work.result)
            with database.translating():
                standing = work.write(connection, settlement)
            is_written = True
    except exc.DBAPIError:
        raise  # a statement of the block, or a constraint that is checked at the commit: nothing was committed
    except BaseException:
        # From here on the commit's outcome is unknown: also a time limit can strike while it is under way.
        attempt.is_in_doubt = is_written
        raise
    work.committed()
    if settlement is not None:
        attempt.settlement = settlement
        attempt.ledger.jobs.settled([(attempt.claim, settlement)])
    elif work.carries_state:
        attempt.obey(standing)


def _succeeded(attempt: RunningAttempt, value: Any) -> Settlement:
    result = codec.encode_returned(value, attempt.returns, what=f"the result of {attempt.claim.task}")
    settlement = Settlement(Transition.SUCCEED, Outcome.SUCCEEDED, result=result, ran=attempt.ran())
    return attempt.storage.vault.settlement(attempt.job_id, attempt.claim.task, settlement)


def _framed(attempt: RunningAttempt, make: Callable[[int], CheckpointRecord]) -> Callable[[int], bytes]:
    return lambda seq: attempt.storage.frame(make(seq))
