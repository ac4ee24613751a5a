"""``ledger.jobs``: Statements on jobs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

from perdure.ledger import migrate
from perdure.ledger.jobs import submit
from perdure.ledger.work import Result, Work
from perdure.model.events import EventBus, JobEvent
from perdure.model.faults.places import STATEMENT, At, Point
from perdure.model.lanes import PLAIN
from perdure.model.new_job import NewJob, Submitted
from perdure.model.states import JobState, Transition, target
from perdure.system.later import later

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from perdure.ledger.direct import Where
    from perdure.ledger.jobs import (
        bury,
        cancel,
        claim,
        depth,
        effect_key,
        find,
        history,
        lanes,
        logs,
        notes,
        prune,
        read,
        restore,
        run_now,
        settle,
        settle_and_claim,
        waiting,
    )
    from perdure.ledger.jobs.claim import Claimer, Since
    from perdure.ledger.jobs.lanes import Admitted, Lane, Place
    from perdure.ledger.jobs.settle import Ending, Settled
    from perdure.model import job_filter
    from perdure.model.job_log import Chunk, LogLine
    from perdure.model.records import AttemptRecord, Claim, JobRecord, Settlement
    from perdure.model.waiting_reasons import Facts
else:
    bury, cancel, claim, depth, effect_key, find, history, lanes, logs = later(
        "perdure.ledger.jobs", "bury", "cancel", "claim", "depth", "effect_key", "find", "history", "lanes", "logs"
    )
    notes, prune, read, restore, run_now, settle, settle_and_claim, waiting = later(
        "perdure.ledger.jobs", "notes", "prune", "read", "restore", "run_now", "settle", "settle_and_claim", "waiting"
    )
    (job_filter,) = later("perdure.model", "job_filter")


class JobStatements:
    """The jobs of a ledger. Whatever moves a job on from one state to another is told here, once it is committed.

    Args:
        work: Runs statements on the ledger's database.
        events: Told of each transition.
    """

    def __init__(self, work: Work, events: EventBus) -> None:
        self._work = work
        self._events = events

    def submit(self, new: Sequence[NewJob], connection: Connection | None = None) -> list[Submitted]:
        """Write jobs, in the caller's transaction if a connection is given; see :func:`submit.submit`."""
        if connection is not None:
            return submit.submit(connection, new)
        tried = False

        def work(connection: Where) -> list[Submitted]:
            nonlocal tried
            again, tried = tried, True
            return submit.submit(connection, new, again=again)

        return self._work.hot(work, autocommit=submit.in_one_statement(new), create=True)

    def depth(self, bulkhead: str, bound: int) -> int:
        """Return how many jobs wait in a bulkhead, counting no further than ``bound``."""
        if migrate.is_missing(self._work.database):
            return 0
        return self._work.hot(lambda c: depth.depth(c, bulkhead, bound))

    def claim(
        self, by: Claimer, most: int, lane: str = PLAIN, *, since: Since | None = None, in_doubt: bool = False
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

        def work(connection: Where) -> list[Claim]:
            nonlocal tried
            held = claim.held(connection, by, None if in_doubt else [lane]) if tried or in_doubt else []
            tried = True
            return held or claim.claim(connection, by, most, lane, since or {})

        return self._claimed(self._work.hot(work, At((Point.CLAIM,), by.bulkhead)))

    def lanes(self, bulkhead: str, after: str = "", *, back: float | None = None) -> list[Lane]:
        """Return the lanes in which a bulkhead's jobs wait; see :func:`lanes.lanes`."""
        return self._work.hot(lambda c: lanes.lanes(c, bulkhead, after, lanes.ALL if back is None else back))

    def running_within_limits(self) -> dict[Place, int]:
        """Return how many jobs run of those that a limit bounds; see :func:`lanes.running`."""
        return self._work.hot(lanes.running)

    def claim_within(
        self, by: Claimer, wanted: Sequence[Lane], admitted: Admitted, *, waits: bool = True
    ) -> list[Claim] | None:
        """Claim jobs that a limit bounds; see :func:`lanes.claim_within`."""
        tried = False

        def work(connection: Where) -> list[Claim] | None:
            nonlocal tried
            held = claim.held(connection, by, [lane.name for lane in wanted]) if tried else []
            tried = True
            return held or lanes.claim_within(connection, by, wanted, admitted, waits=waits)

        claims = self._work.hot(work, At((Point.CLAIM,), by.bulkhead), autocommit=False)
        return None if claims is None else self._claimed(claims)

    def effect_key(self, job_id: str) -> str:
        """Return the key under which a job's effects are known to others; see :func:`effect_key.effect_key`."""
        return self._work.hot(lambda c: effect_key.effect_key(c, job_id))

    def settle(self, of: Claim, settlement: Settlement) -> str | None:
        """Record how a claim ended; see :func:`settle.settle`."""
        stored = self._work.vault.settlement(of.job_id, of.task, settlement)
        settled, letter = self._settling(
            lambda c: settle.settle(c, of, stored, self._work.release), [(of, stored)], At((Point.SETTLE,), of.bulkhead)
        )
        self.settled(settled.written([(of, settlement)]))
        return letter

    def settle_all(self, endings: Sequence[Ending], said: Sequence[Chunk] = ()) -> Settled:
        """Record how claims ended, and before that what their jobs have said; see :func:`settle.settle_all`."""
        stored = self._stored(endings)

        def work(connection: Where) -> Settled:
            if said:
                logs.write(connection, said, self._seal_log)
            return settle.settle_all(connection, stored, self._work.release) if stored else settle.Settled()

        at = At((Point.SETTLE,), endings[0][0].bulkhead) if endings else STATEMENT
        settled = self._settling(work, stored, at)
        self.settled(settled.written(endings))
        return settled

    def settle_and_claim(
        self, endings: Sequence[Ending], said: Sequence[Chunk], by: Claimer, most: int, since: Since
    ) -> tuple[Settled, list[Claim]]:
        """Record how a child's claims ended, and claim the next jobs for it, both or neither.

        See :meth:`settle_all` and :meth:`claim`. When it raises, both may have been committed: settle again, which is safe
        to repeat, and then claim as one that is in doubt.
        """
        stored = self._stored(endings)
        tried = False

        def work(connection: Where) -> tuple[Settled, list[Claim]]:
            nonlocal tried
            if said:
                logs.write(connection, said, self._seal_log)
            if tried:
                settled = settle.settle_all(connection, stored, self._work.release)
                held = claim.held(connection, by, [PLAIN])
                return settled, held or claim.claim(connection, by, most, since=since)
            tried = True
            return settle_and_claim.settle_and_claim(connection, stored, by, most, since, self._work.release)

        at = At((Point.SETTLE, Point.CLAIM), by.bulkhead)
        settled, claims = self._settling(work, stored, at, more=bool(said))
        self.settled(settled.written(endings))
        return settled, self._claimed(claims)

    def _settling(
        self, work: Callable[[Where], Result], endings: Sequence[Ending], at: At, *, more: bool = False
    ) -> Result:
        """Return what a settlement's work returns.

        Args:
            work: The work.
            endings: What is settled.
            at: What it is, for injected faults.
            more: Whether it is done together with something else.
        """
        alone = settle.in_one_statement(self._work.database.dialect, endings) and not more
        return self._work.hot(work, at, autocommit=alone)

    def _stored(self, endings: Sequence[Ending]) -> list[Ending]:
        return [(of, self._work.vault.settlement(of.job_id, of.task, settlement)) for of, settlement in endings]

    def settled(self, endings: Iterable[Ending]) -> None:
        """Tell of settlements that are committed; :meth:`settle` and :meth:`settle_all` do."""
        for of, settlement in endings:
            if self._events.hears(target(settlement.transition)):
                self._events.emit(JobEvent.settled(of, settlement))

    def submitted(self, new: Sequence[NewJob], reasons: Sequence[str] = ()) -> None:
        """Tell of jobs that are committed; who submits does, since only it knows when a caller's transaction is.

        Args:
            new: The jobs.
            reasons: Why each was submitted, where there is something to say.
        """
        for job, reason in zip(new, reasons or repeat(""), strict=False):
            if self._events.hears(job.first_state):
                self._events.emit(JobEvent.submitted(job, reason))

    def _claimed(self, claims: list[Claim]) -> list[Claim]:
        if self._events.hears(target(Transition.CLAIM)):
            for of in claims:
                self._events.emit(JobEvent.claimed(of))
        return claims

    def write_logs(self, said: Sequence[Chunk]) -> None:
        """Write what jobs have said; see :func:`logs.write`."""
        self._work.hot(lambda c: logs.write(c, said, self._seal_log), autocommit=False)

    def log_of(self, job_id: str, task: str, after: tuple[int, int] = (0, 0)) -> list[LogLine]:
        """Return what is kept of what a job has said; see :func:`logs.of_job`."""
        return self._work.hot(lambda c: logs.of_job(c, job_id, task, self._open_log, after))

    def _seal_log(self, text: str, job_id: str, task: str) -> str:
        return self._work.vault.put(text, "log", job_id, task)

    def _open_log(self, stored: str, job_id: str, task: str) -> str:
        return self._work.vault.get(stored, "log", job_id, task)

    def cancel(self, job_id: str, reason: str) -> JobState | None:
        """Cancel a job or ask it to stop; see :func:`cancel.cancel`."""
        state, event = self._work.hot(lambda c: cancel.cancel(c, job_id, reason), autocommit=False)
        self._moved([event] if event is not None else [])
        return state

    def restore(self, job_id: str, reason: str) -> str | None:
        """Take a job's cancel back and return its bulkhead; None when it is not cancelled. See :func:`restore.restore`."""
        event = self._work.hot(lambda c: restore.restore(c, job_id, reason), autocommit=False)
        return self._moved([event])[0].bulkhead if event is not None else None

    def bring_forward(self, job_id: str) -> str | None:
        """Make a job due that waits for its time, and return its bulkhead; None when it does not wait for one."""
        event = self._work.hot(lambda c: run_now.bring_forward(c, job_id), autocommit=False)
        return self._moved([event])[0].bulkhead if event is not None else None

    def bury_expired(self, page: int) -> list[JobEvent]:
        """Make dead letters of waiting jobs whose deadline has passed; return the events."""
        return self._moved(self._work.direct(lambda c: bury.bury_expired(c, page, self._work.release), autocommit=False))

    def bury_unknown(self, ttl: float, page: int) -> list[JobEvent]:
        """Make dead letters of queued jobs whose task no worker has known for ``ttl`` seconds; return the events."""
        release = self._work.release
        return self._moved(self._work.direct(lambda c: bury.bury_unknown(c, ttl, page, release), autocommit=False))

    def _moved(self, events: list[JobEvent]) -> list[JobEvent]:
        for event in events:
            self._events.emit(event)
        return events

    def note_unknown(self, bulkhead: str, known: Collection[str], page: int) -> int:
        """Note which jobs a worker does not know the task of; see :func:`bury.note_unknown`."""
        return self._work.direct(lambda c: bury.note_unknown(c, bulkhead, known, page))

    def prune(self, state: JobState, retention: float, after: str, page: int) -> list[str]:
        """Delete a page of jobs that ended long ago and return them; see :func:`prune.finished_jobs`."""
        return self._work.direct(lambda c: prune.finished_jobs(c, state, retention, after, page), autocommit=False)

    def note(self, job_id: str, kind: notes.NoteKind, text: str) -> None:
        """Write a note about a job."""
        self._work.hot(lambda c: notes.write(c, job_id, kind, text))

    def notes_of(self, job_id: str) -> list[notes.JobNote]:
        """Return a job's notes, the first one first."""
        return self._work.hot(lambda c: notes.of_job(c, job_id))

    def get(self, job_id: str) -> JobRecord:
        """Return a job; raises ``JobNotFound``."""
        return self._work.vault.job(self._work.hot(lambda c: read.get(c, job_id)))

    def replays_of(self, job_id: str) -> list[JobRecord]:
        """Return the newest replays of a job, the first one first."""
        return [self._work.vault.job(job) for job in self._work.direct(lambda c: read.replays_of(c, job_id))]

    def listing(self, *, limit: int = 100, after: str | None = None, **which: Any) -> list[JobRecord]:
        """Return jobs, the newest first; see :func:`find.listing` and :class:`job_filter.JobFilter`."""
        found = self._work.read(lambda c: find.listing(c, job_filter.JobFilter(**which), limit=limit, after=after))
        return [self._work.vault.job(job) for job in found]

    def ended_between(self, since: float, until: float) -> list[history.Ended]:
        """Return what ended in a stretch of time; see :func:`history.ended_between`."""
        return self._work.read(lambda c: history.ended_between(c, since, until))

    def waiting(self, job_id: str, limit: int | None, max_outvoted: int | None = None) -> Facts:
        """Return the facts that say why a job is not running; see :func:`waiting.facts_of`."""
        return self._work.direct(lambda c: waiting.facts_of(c, job_id, limit, max_outvoted))

    def count(self, by: str, **which: Any) -> dict[str, int]:
        """Return how many jobs there are by state, task or bulkhead; see :class:`job_filter.JobFilter`."""
        return self._work.read(lambda c: find.count(c, by, job_filter.JobFilter(**which)))

    def mean_run(self, task: str) -> float:
        """Return the seconds that a task's newest jobs took."""
        return self._work.direct(lambda c: read.mean_run(c, task))

    def attempts(self, job_id: str) -> list[AttemptRecord]:
        """Return a job's ended attempts."""
        return [self._work.vault.attempt(each, job_id) for each in self._work.hot(lambda c: read.attempts_of(c, job_id))]
