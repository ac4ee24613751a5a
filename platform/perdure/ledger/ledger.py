"""The ledger: every statement that perdure runs, as one method each. What it stands on is in this package's other files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from sqlalchemy import Connection

from perdure.errors import LeaseLost
from perdure.ledger import bulkheads, migrate, probe
from perdure.ledger.dead_letters import find, writing
from perdure.ledger.dead_letters.letters import Letters
from perdure.ledger.engine import Database, Result
from perdure.ledger.jobs import (
    bury,
    cancel,
    claim,
    depth,
    history,
    lanes,
    lineage,
    logs,
    notes,
    prune,
    read,
    run_now,
    settle,
    submit,
    waiting,
)
from perdure.ledger.jobs.claim import NO_MARKS, Claimer, Since
from perdure.ledger.jobs.lanes import Admitted, Lane, Place
from perdure.ledger.jobs.settle import Ending
from perdure.ledger.running import checkpoints, claims, replicas, steps
from perdure.ledger.schedules import ticks
from perdure.ledger.workers import events, register, silent
from perdure.ledger.workers.connection_lock import LifeLine
from perdure.model.job_log import Chunk, LogLine
from perdure.model.lanes import PLAIN
from perdure.model.records import (
    AttemptRecord,
    Claim,
    DeadLetterRecord,
    JobRecord,
    NewJob,
    Settlement,
    Submitted,
    WorkerRecord,
)
from perdure.model.states import JobState
from perdure.model.waiting_reasons import Facts
from perdure.model.worker_health import WorkerEvent
from perdure.sealing import Vault
from perdure.system.fork_locks import fork_lock


class Ledger:
    """The database that owns the jobs.

    Args:
        url: SQLAlchemy URL of SQLite or PostgreSQL.
        durability: See :class:`~perdure.ledger.engine.Database`.
        vault: What seals and offloads arguments, results and errors; None leaves them as they are.

    Every method raises ``LedgerUnavailable`` when the database cannot be reached or refuses to work, and
    ``LedgerOutdated`` when its schema is another release's. SQLite files are made and migrated on first use.
    """

    def __init__(self, url: str, durability: Literal["normal", "full"] = "normal", vault: Vault | None = None) -> None:
        self.vault = vault or Vault()
        self.database = Database(url, durability)
        #: What is done with dead letters once they are written.
        self.letters = Letters(self._run, self._read, self.vault)
        self._checked = False
        self._check_lock = fork_lock()

    # -- submit, claim, settle ---------------------------------------------------------------------------------------

    def submit(self, new: Sequence[NewJob], connection: Connection | None = None) -> list[Submitted]:
        """Write jobs, in the caller's transaction if a connection is given; see :func:`submit.submit`."""
        if connection is not None:
            return submit.submit(connection, new)
        self._check(create=True)
        return (self._read if submit.in_one_statement(new) else self._run)(lambda c: submit.submit(c, new))

    def depth(self, bulkhead: str, bound: int) -> int:
        """Return how many jobs wait in a bulkhead, counting no further than ``bound``."""
        if migrate.is_missing(self.database):
            return 0
        return self._read(lambda c: depth.depth(c, bulkhead, bound))

    def claim(
        self, by: Claimer, most: int, lane: str = PLAIN, *, since: Since = NO_MARKS, in_doubt: bool = False
    ) -> list[Claim]:
        """Claim jobs of a lane for a worker's child; see :func:`claim.claim`.

        Args:
            by: Who claims.
            most: How many at most.
            lane: Where they wait.
            since: See :func:`claim.claim`.
            in_doubt: Whether an earlier claim of a child that holds nothing may have been committed: then it is returned.
        """
        tried = False

        def work(connection: Connection) -> list[Claim]:
            nonlocal tried
            held = claim.held(connection, by, None if in_doubt else [lane]) if tried or in_doubt else []
            tried = True
            return held or claim.claim(connection, by, most, lane, since)

        return self._read(work)

    def lanes(self, bulkhead: str, after: str = "", *, back: float = lanes.ALL) -> list[Lane]:
        """Return the lanes in which a bulkhead's jobs wait; see :func:`lanes.lanes`."""
        return self._read(lambda c: lanes.lanes(c, bulkhead, after, back))

    def running_within_limits(self) -> dict[Place, int]:
        """Return how many jobs run of those that a limit bounds; see :func:`lanes.running`."""
        return self._read(lanes.running)

    def claim_within(self, by: Claimer, wanted: Sequence[Lane], admitted: Admitted) -> list[Claim]:
        """Claim jobs that a limit bounds; see :func:`lanes.claim_within`."""
        tried = False

        def work(connection: Connection) -> list[Claim]:
            nonlocal tried
            held = claim.held(connection, by, [lane.name for lane in wanted]) if tried else []
            tried = True
            return held or lanes.claim_within(connection, by, wanted, admitted)

        return self._run(work)

    def replicas_of(self, job_id: str) -> list[JobRecord]:
        """Return a job's replicas."""
        return [self.vault.job(replica) for replica in self._read(lambda c: replicas.replicas_of(c, job_id))]

    def wake(self, job_id: str) -> None:
        """Have a job that waits look at its replicas now."""
        self._read(lambda c: replicas.wake(c, job_id))

    def effect_key(self, job_id: str) -> str:
        """Return the key under which a job's effects are known to others; see :func:`lineage.effect_key`."""
        return self._read(lambda c: lineage.effect_key(c, job_id))

    def settle(self, of: Claim, settlement: Settlement) -> str | None:
        """Record how a claim ended; see :func:`settle.settle`."""
        stored = self.vault.settlement(of.job_id, of.task, settlement)
        alone = settle.in_one_statement(self.database.dialect, [(of, stored)])
        return (self._read if alone else self._run)(lambda c: settle.settle(c, of, stored))

    def settle_all(self, endings: Sequence[Ending], said: Sequence[Chunk] = ()) -> dict[str, LeaseLost]:
        """Record how claims ended, and before that what their jobs have said; see :func:`settle.settle_all`."""
        stored = [(of, self.vault.settlement(of.job_id, of.task, settlement)) for of, settlement in endings]
        alone = settle.in_one_statement(self.database.dialect, stored)

        def work(connection: Connection) -> dict[str, LeaseLost]:
            if said:
                logs.write(connection, said, self._seal_log)
            return settle.settle_all(connection, stored) if stored else {}

        return (self._read if alone else self._run)(work)

    def write_logs(self, said: Sequence[Chunk]) -> None:
        """Write what jobs have said; see :func:`logs.write`."""
        self._run(lambda c: logs.write(c, said, self._seal_log))

    def log_of(self, job_id: str, task: str, after: tuple[int, int] = (0, 0)) -> list[LogLine]:
        """Return what is kept of what a job has said; see :func:`logs.of_job`."""
        return self._read(lambda c: logs.of_job(c, job_id, task, self._open_log, after))

    def _seal_log(self, text: str, job_id: str, task: str) -> str:
        return self.vault.put(text, "log", job_id, task)

    def _open_log(self, stored: str, job_id: str, task: str) -> str:
        return self.vault.get(stored, "log", job_id, task)

    def cancel(self, job_id: str, reason: str) -> JobState | None:
        """Cancel a job or ask it to stop; see :func:`cancel.cancel`."""
        return self._read(lambda c: cancel.cancel(c, job_id, reason))

    def bring_forward(self, job_id: str) -> str | None:
        """Make a job due that waits for its time; see :func:`run_now.bring_forward`."""
        return self._read(lambda c: run_now.bring_forward(c, job_id))

    # -- jobs that die before they run -------------------------------------------------------------------------------

    def bury_expired(self, page: int) -> list[bury.Buried]:
        """Make dead letters of waiting jobs whose deadline has passed."""
        return self._run(lambda c: bury.bury_expired(c, page))

    def bury_unknown(self, ttl: float, page: int) -> list[bury.Buried]:
        """Make dead letters of queued jobs whose task no worker has known for ``ttl`` seconds."""
        return self._run(lambda c: bury.bury_unknown(c, ttl, page))

    def note_unknown(self, bulkhead: str, known: Collection[str], page: int) -> int:
        """Note which jobs a worker does not know the task of; see :func:`bury.note_unknown`."""
        return self._read(lambda c: bury.note_unknown(c, bulkhead, known, page))

    # -- periodic jobs -----------------------------------------------------------------------------------------------

    def probe(self) -> None:
        """Make sure that the ledger can be written; see :func:`probe.probe`."""
        self._read(probe.probe)

    def clock(self) -> float:
        """Return the ledger's time, seconds since the epoch."""
        return self._read(ticks.clock)

    def last_tick(self, schedule: str) -> float:
        """Return the newest tick of a schedule, which begins now when it is new."""
        return self._run(lambda c: ticks.last_tick(c, schedule))

    def fire(self, schedule: str, before: float, tick: float, new: NewJob | None) -> Submitted | None:
        """Move a schedule on and write its tick's job; see :func:`ticks.fire`."""
        return self._run(lambda c: ticks.fire(c, schedule, before, tick, new))

    # -- pruning -----------------------------------------------------------------------------------------------------

    def prune_jobs(self, state: JobState, retention: float, page: int) -> list[str]:
        """Delete a page of jobs that ended long ago and return them; see :func:`prune.finished_jobs`."""
        return self._run(lambda c: prune.finished_jobs(c, state, retention, page))

    def prune_workers(self, retention: float, page: int) -> int:
        """Delete a page of workers that ended long ago."""
        return self._run(lambda c: prune.ended_workers(c, retention, page))

    # -- workers -----------------------------------------------------------------------------------------------------

    def register_worker(self, worker: dict[str, Any]) -> WorkerEvent | None:
        """Write a new worker incarnation; see :func:`register.register`."""
        return self._run(lambda c: register.register(c, worker))

    def beat(self, worker_id: str) -> str | None:
        """Renew a worker's lease and return its state; None when the lease is lost."""
        return self._read(lambda c: register.beat(c, worker_id))

    def life_line(self, worker_id: str) -> LifeLine | None:
        """Return what tells others when a worker's process ends; None on SQLite, whose workers are all on one host."""
        return None if self.database.dialect == "sqlite" else LifeLine(self.database, worker_id)

    def set_draining(self, worker_id: str) -> None:
        """Note that a worker takes no more jobs."""
        self._read(lambda c: register.set_draining(c, worker_id))

    def change_worker_state(self, worker_id: str, target: str, reason: str) -> WorkerEvent | None:
        """Move a live worker to another state; see :func:`register.change_state`."""
        return self._run(lambda c: register.change_state(c, worker_id, target, reason))

    def silent_workers(self, page: int) -> list[silent.SilentWorker]:
        """Return live workers whose heartbeats are late."""
        return self._read(lambda c: silent.silent(c, page))

    def neighbours(self, host: str) -> list[register.Neighbour]:
        """Return the live workers of a host that keep a file locked."""
        return self._read(lambda c: register.neighbours(c, host))

    def orphaning_workers(self, page: int) -> list[str]:
        """Return workers whose lease is over and who still have running jobs."""
        return self._read(lambda c: claims.orphaning(c, page))

    def running_of(self, worker_id: str) -> list[claims.RunningJob]:
        """Return what a worker runs."""
        return self._read(lambda c: claims.running_of(c, worker_id))

    def running_by_child(self, worker_id: str, pid: int) -> list[Claim]:
        """Return the claims that name a worker's child."""
        return self._read(lambda c: claims.running_by_child(c, worker_id, pid))

    def cancelling(self, worker_id: str) -> dict[tuple[str, int], float]:
        """Return the jobs of a worker that were asked to stop; see :func:`claims.cancelling`."""
        return self._read(lambda c: claims.cancelling(c, worker_id))

    def worker_events(self, *, name: str | None = None, limit: int = 100) -> list[WorkerEvent]:
        """Return changes of workers' states, the newest first."""
        return self._read(lambda c: events.listing(c, name=name, limit=limit))

    def list_workers(self, *, all_states: bool = False) -> list[WorkerRecord]:
        """Return the live register, or all that the ledger remembers."""
        return self._read(lambda c: register.listing(c, all_states=all_states))

    # -- bulkheads ---------------------------------------------------------------------------------------------------

    def pause(self, bulkhead: str, by: str, reason: str) -> None:
        """Let no job of a bulkhead start."""
        self._run(lambda c: bulkheads.pause(c, bulkhead, by, reason))

    def resume(self, bulkhead: str) -> None:
        """Let the jobs of a paused bulkhead start again."""
        self._run(lambda c: bulkheads.resume(c, bulkhead))

    def bulkhead_counts(self) -> dict[str, bulkheads.BulkheadCounts]:
        """Return what waits and runs in each bulkhead that has jobs or was paused."""
        return self._read(bulkheads.counts)

    # -- running jobs ------------------------------------------------------------------------------------------------

    def save_checkpoint(
        self, job_id: str, fence: int, name: str, data: checkpoints.Frame, previous_seq: int
    ) -> tuple[int, checkpoints.Standing]:
        """Write a checkpoint; see :func:`checkpoints.save`."""
        return self._run(lambda c: checkpoints.save(c, job_id, fence, name, data, previous_seq))

    def advance_checkpoint(self, job_id: str, fence: int) -> tuple[int, checkpoints.Standing]:
        """Give a running job its next number; see :func:`checkpoints.advance`."""
        return self._read(lambda c: checkpoints.advance(c, job_id, fence))

    def load_checkpoint(self, job_id: str, name: str) -> list[checkpoints.StoredCheckpoint]:
        """Return the kept versions of a checkpoint, the newest first."""
        return self._read(lambda c: checkpoints.load(c, job_id, name))

    def steps_of(self, job_id: str) -> list[steps.StepRecord]:
        """Return a job's durable steps in their order."""
        return self._read(lambda c: steps.of_job(c, job_id))

    def record_step(self, job_id: str, fence: int, step: steps.StepRecord) -> checkpoints.Standing:
        """Write a step that succeeded; see :func:`steps.record`."""
        return self._run(lambda c: steps.record(c, job_id, fence, step))

    def note(self, job_id: str, kind: notes.NoteKind, text: str) -> None:
        """Write a note about a job."""
        self._read(lambda c: notes.write(c, job_id, kind, text))

    def notes_of(self, job_id: str) -> list[notes.JobNote]:
        """Return a job's notes, the first one first."""
        return self._read(lambda c: notes.of_job(c, job_id))

    def report_progress(
        self, job_id: str, fence: int, done: float, total: float | None, message: str
    ) -> checkpoints.Standing:
        """Write how far a job is."""
        return self._read(lambda c: checkpoints.report_progress(c, job_id, fence, done, total, message))

    def standing(self, job_id: str, fence: int) -> checkpoints.Standing:
        """Return whether a running job shall stop; raises ``LeaseLost`` for a stale fence."""
        return self._read(lambda c: checkpoints.standing(c, job_id, fence))

    # -- reading -----------------------------------------------------------------------------------------------------

    def job(self, job_id: str) -> JobRecord:
        """Return a job; raises ``JobNotFound``."""
        return self.vault.job(self._read(lambda c: read.get(c, job_id)))

    def jobs(self, *, limit: int = 100, after: str | None = None, **which: Any) -> list[JobRecord]:
        """Return jobs, the newest first; see :func:`read.listing` and :class:`read.JobFilter`."""
        found = self._read(lambda c: read.listing(c, read.JobFilter(**which), limit=limit, after=after))
        return [self.vault.job(job) for job in found]

    def ended_between(self, since: float, until: float) -> list[history.Ended]:
        """Return what ended in a stretch of time; see :func:`history.ended_between`."""
        return self._read(lambda c: history.ended_between(c, since, until))

    def why(self, job_id: str, limit: int | None) -> Facts:
        """Return the facts that say why a job is not running; see :func:`waiting.facts_of`."""
        return self._read(lambda c: waiting.facts_of(c, job_id, limit))

    def count_jobs(self, by: str, **which: Any) -> dict[str, int]:
        """Return how many jobs there are by state, task or bulkhead; see :class:`read.JobFilter`."""
        return self._read(lambda c: read.count(c, by, read.JobFilter(**which)))

    def mean_run(self, task: str) -> float:
        """Return the seconds that a task's newest jobs took."""
        return self._read(lambda c: read.mean_run(c, task))

    def attempts(self, job_id: str) -> list[AttemptRecord]:
        """Return a job's ended attempts."""
        return [self.vault.attempt(each, job_id) for each in self._read(lambda c: read.attempts_of(c, job_id))]

    # -- dead letters ------------------------------------------------------------------------------------------------

    def dead_letter(self, letter_id: str) -> DeadLetterRecord:
        """Return a dead letter; raises ``DeadLetterNotFound``."""
        return self.vault.letter(self._read(lambda c: find.get(c, letter_id)))

    def quarantine(self, letter: dict[str, Any]) -> bool:
        """Write a dead letter for a broker message that names no job; see :func:`writing.quarantine`."""
        return self._run(lambda c: writing.quarantine(c, letter))

    # -- schema ------------------------------------------------------------------------------------------------------

    def upgrade(self) -> str:
        """Bring the schema to this release's version and return it."""
        version = migrate.upgrade(self.database)
        self._checked = True
        return version

    def create_if_missing(self) -> None:
        """Make a SQLite ledger that is not there yet: for what serves it. Reading makes none."""
        if migrate.is_missing(self.database):
            self.upgrade()

    def schema_version(self) -> str | None:
        """Return the schema's version, or None for an empty database."""
        return migrate.version(self.database)

    def close(self) -> None:
        """Close this process' connections."""
        self.database.close()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that commits when the block ends without an error.

        Unlike the other methods' work it is never repeated: when it fails with ``LedgerUnavailable``, whether it was
        committed is not known.
        """
        self._check(create=True)
        with self.database.transaction() as connection:
            yield connection

    def transact(self, work: Callable[[Connection], Result]) -> Result:
        """Return what work that is safe to repeat returns in a transaction; see :meth:`Database.run`."""
        return self._run(work)

    def read(self, work: Callable[[Connection], Result]) -> Result:
        """Return what work returns whose statements commit one by one; see :meth:`Database.run`."""
        return self._read(work)

    def _run(self, work: Callable[[Connection], Result]) -> Result:
        self._check(create=True)
        return self.database.run(work)

    def _read(self, work: Callable[[Connection], Result]) -> Result:
        """Run work whose statements commit one by one: reads, and writes of a single statement."""
        self._check()
        return self.database.run(work, autocommit=True)

    def _check(self, *, create: bool = False) -> None:
        if not self._checked:
            with self._check_lock:
                if not self._checked:
                    migrate.ensure(self.database, create=create)
                    self._checked = True
