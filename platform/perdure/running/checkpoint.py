"""Checkpoints: what a long job saves so that after a crash it goes on and does not start again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

from perdure.errors import CheckpointTooLarge, LedgerUnavailable
from perdure.model import checkpoint_schema as states
from perdure.model.checkpoint_schema import StateMismatch
from perdure.model.faults.places import CHECKPOINTS, Point, faulty
from perdure.model.metrics import CHECKPOINT, CHECKPOINT_FAILURES, CHECKPOINT_SIZE
from perdure.model.storage_errors import StoreUnavailable
from perdure.running.attempt import RunningAttempt
from perdure.stores.record import CheckpointRecord, check_name
from perdure.system.later import later

if TYPE_CHECKING:
    from perdure.ledger.jobs import notes
else:
    (notes,) = later("perdure.ledger.jobs", "notes")

MAIN = "main"


class Checkpoints:
    """The checkpoints of an attempt, by name."""

    def __init__(self, attempt: RunningAttempt) -> None:
        self._attempt = attempt
        self._made: dict[str, Checkpoint] = {}

    def named(self, name: str) -> Checkpoint:
        """Return one of the job's checkpoints, the same one each time."""
        if name not in self._made:
            self._made[name] = Checkpoint(self._attempt, name, self)
        return self._made[name]


class Checkpoint:
    """One named checkpoint of a running job.

    Args:
        attempt: The attempt.
        name: Which of the job's checkpoints: 1-128 characters of ``A-Z a-z 0-9 _ . : @ + = -``.
        beside: The job's other checkpoints.

    Raises:
        InvalidRecord: The name cannot be stored.
    """

    def __init__(self, attempt: RunningAttempt, name: str, beside: Checkpoints) -> None:
        self._attempt = attempt
        self._beside = beside
        self.name = check_name("checkpoint name", name)
        self._seq = 0
        self._type: Any = Any
        self._interval = attempt.storage.interval
        self._draining = attempt.draining
        self._due_at = monotonic() + self._interval

    @property
    def seq(self) -> int:
        """The number of the version that was loaded or saved last; 0 before."""
        return self._seq

    def named(self, name: str) -> Checkpoint:
        """Return another checkpoint of the same job; the same one for the same name."""
        return self._beside.named(name)

    def due(self, seconds: float | None = None) -> bool:
        """Return whether it is time to save: the interval is over, or the worker drains and wants its jobs back.

        Cheap enough for each turn of a tight loop: well below a microsecond.

        Args:
            seconds: The time from one save to the next; the setting ``checkpoint_interval`` by default.
        """
        if seconds is None:
            return monotonic() >= self._due_at or self._draining()
        return monotonic() >= self._due_at - self._interval + seconds or self._draining()

    def load(self, default: Any = None, *, type: Any = Any) -> Any:
        """Return the state that was saved last, or ``default`` when there is none.

        A damaged version is passed over for the one before it; `perdure jobs show` tells of it.

        Args:
            default: What to return when nothing was saved, or nothing that can be used.
            type: What the state is to be: a msgspec struct, a dataclass, a pydantic model, or anything that an annotation
                can say.

        Raises:
            StateMismatch: The state has another shape, and the task's :class:`StatePolicy` says to park it.
            TypeNotGiven: The state is an object, and no ``type`` was given.
            MissingKey: It is sealed with a key that this worker does not have; the job waits for one that does.
            StoreUnavailable: The store cannot be read; the job waits.
        """
        attempt, self._type = self._attempt, type
        claim = attempt.claim
        find = faulty(
            attempt.storage.find, Point.LOAD, StoreUnavailable, store=CHECKPOINTS, task=claim.task, bulkhead=claim.bulkhead
        )
        with self._counting_failures(StoreUnavailable):
            found = find(claim, self.name, self._column)
        self._tell_damage(found.damage, None if found.record is None else found.record.seq)
        self._seq = 0 if found.record is None else found.record.seq
        if found.data is None:
            return default
        policy = attempt.state_policy
        try:
            restored = states.unpack(found.data, policy, type, self._title)
        except StateMismatch as error:
            if policy.otherwise == "park":
                raise
            attempt.note(notes.NoteKind.STATE_DISCARDED, f"{error}; the job starts again, as its task says")
            return default
        if restored.saved_version != policy.version:
            change = f"from state version {restored.saved_version} to {policy.version}"
            attempt.note(notes.NoteKind.STATE_MIGRATED, f"{self._title} was migrated {change}")
        return restored.value

    def save(self, state: Any) -> int:
        """Save a state and return its sequence number.

        Inside of ``ctx.transaction()`` it is saved when the transaction commits, and not if it does not.

        Args:
            state: Anything that JSON can carry, or that the ``type`` of :meth:`load` makes of it again; an object may
                also be saved by a job that has not loaded one yet.

        Raises:
            Unserialisable: The state has no faithful JSON form.
            CheckpointTooLarge: It is larger than the setting ``checkpoint_max_bytes``; nothing was saved.
            LeaseLost: Another worker has the job now; nothing was written.
            HandedBack: The worker drains; the state is saved and the job goes on elsewhere.
            JobCancelled: The job was cancelled; the state is saved.
            StoreUnavailable: The store cannot take it; the job is run again later from the checkpoint before.
        """
        data = states.pack(state, self._attempt.state_policy.version, self._type, self._title)
        with self._counting_failures(CheckpointTooLarge):
            if len(data) > self._attempt.storage.max_bytes:
                raise CheckpointTooLarge(
                    f"{self._title} has {len(data):,} bytes, checkpoint_max_bytes is {self._attempt.storage.max_bytes:,}. "
                    "Save where the job is, not what it has made: keep results in files or tables and their names here"
                )
        return self._write(data)

    def clear(self) -> int:
        """Forget what was saved; a version like any other, so that a stale worker's ``clear`` has no effect.

        Raises:
            LeaseLost: Another worker has the job now; nothing was written.
            HandedBack, JobCancelled, StoreUnavailable: As :meth:`save`.
        """
        return self._write(b"")

    def _write(self, data: bytes) -> int:
        attempt, storage = self._attempt, self._attempt.storage
        stored = storage.vault.put_bytes(data, self._column, attempt.job_id, attempt.claim.task) if data else b""

        def record(seq: int) -> CheckpointRecord:
            now = attempt.ledger_now()
            return CheckpointRecord(attempt.job_id, self.name, seq=seq, fence=attempt.fence, data=stored, saved_at=now)

        attempt.check_not_in_doubt()
        if attempt.open_transaction is not None:
            return attempt.open_transaction.save(self, record, self._seq)
        task, began = attempt.claim.task, monotonic()
        save = faulty(
            storage.save, Point.SAVE, StoreUnavailable, store=CHECKPOINTS, task=task, bulkhead=attempt.claim.bulkhead
        )
        with self._counting_failures(StoreUnavailable, LedgerUnavailable):
            seq, standing = save(record, attempt.job_id, attempt.fence, self.name, self._seq)
        storage.tally.observe(monotonic() - began, CHECKPOINT, task)
        storage.tally.observe(len(stored), CHECKPOINT_SIZE, task)
        self.saved(seq)
        attempt.obey(standing)
        return seq

    def saved(self, seq: int) -> None:
        """Note that a version was saved."""
        self._seq = seq
        self._attempt.last_seq = max(self._attempt.last_seq, seq)
        self._due_at = monotonic() + self._interval

    @property
    def _title(self) -> str:
        return f"checkpoint {self.name!r} of job {self._attempt.job_id}"

    @property
    def _column(self) -> str:
        return f"checkpoint:{self.name}"

    def _tell_damage(self, damage: list[str], used_seq: int | None) -> None:
        if not damage:
            return
        self._count_failure()
        what = f"{self._title} is damaged ({'; '.join(damage)})"
        if used_seq is None:
            self._attempt.note(notes.NoteKind.CHECKPOINT_LOST, f"{what} and no good copy is left: the job starts again")
        else:
            self._attempt.note(notes.NoteKind.CHECKPOINT_DAMAGED, f"{what}; seq {used_seq} is used")

    def _count_failure(self) -> None:
        self._attempt.storage.tally.add(CHECKPOINT_FAILURES, self._attempt.claim.task)

    @contextmanager
    def _counting_failures(self, *kinds: type[Exception]) -> Iterator[None]:
        try:
            yield
        except kinds:
            self._count_failure()
            raise
