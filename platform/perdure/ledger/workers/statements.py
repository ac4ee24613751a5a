"""``ledger.workers``: Statements on workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perdure.ledger.jobs import prune
from perdure.ledger.work import Work
from perdure.ledger.workers import duty_reports, events, register, silent, verdicts
from perdure.ledger.workers.connection_lock import LifeLine
from perdure.ledger.workers.register import Neighbour
from perdure.model.records import WorkerRecord
from perdure.model.worker_health import Verdict, WorkerEvent


class WorkerStatements:
    """The workers of a ledger.

    Args:
        work: Runs statements on the ledger's database.
    """

    def __init__(self, work: Work) -> None:
        self._work = work

    def prune(self, retention: float, page: int) -> int:
        """Delete a page of workers that ended long ago."""
        return self._work.direct(lambda c: prune.ended_workers(c, retention, page))

    def register(self, worker: dict[str, Any]) -> WorkerEvent | None:
        """Write a new worker incarnation; see :func:`register.register`."""
        return self._work.direct(lambda c: register.register(c, worker), autocommit=False, create=True)

    def beat(self, worker_id: str) -> str | None:
        """Renew a worker's lease and return its state; None when the lease is lost."""
        return self._work.direct(lambda c: register.beat(c, worker_id))

    def life_line(self, worker_id: str) -> LifeLine | None:
        """Return what tells others when a worker's process ends; None on SQLite, whose workers are all on one host."""
        return None if self._work.database.dialect == "sqlite" else LifeLine(self._work.database, worker_id)

    def set_draining(self, worker_id: str) -> None:
        """Note that a worker takes no more jobs."""
        self._work.direct(lambda c: register.set_draining(c, worker_id))

    def say(self, name: str, verdict: Verdict, reason: str) -> WorkerEvent | None:
        """Write a verdict on a worker; see :func:`verdicts.say`."""
        return self._work.direct(lambda c: verdicts.say(c, name, verdict, reason), autocommit=False)

    def declare_unfit(self, worker_id: str, reason: str) -> WorkerEvent | None:
        """Write that a worker's node is unfit; see :func:`verdicts.declare_unfit`."""
        return self._work.hot(lambda c: verdicts.declare_unfit(c, worker_id, reason), autocommit=False)

    def times_outvoted(self, name: str) -> int:
        """Return how often a worker has been outvoted since it was last trusted."""
        return self._work.hot(lambda c: verdicts.times_outvoted(c, name))

    def change_state(self, worker_id: str, target: str, reason: str) -> WorkerEvent | None:
        """Move a live worker to another state; see :func:`register.change_state`."""
        return self._work.direct(lambda c: register.change_state(c, worker_id, target, reason), autocommit=False)

    def silent(self, page: int) -> list[silent.SilentWorker]:
        """Return live workers whose heartbeats are late."""
        return self._work.direct(lambda c: silent.silent(c, page))

    def neighbours(self, host: str) -> list[Neighbour]:
        """Return the live workers of a host that keep a file locked."""
        return self._work.direct(lambda c: register.neighbours(c, host))

    def events(self, *, name: str | None = None, limit: int = 100) -> list[WorkerEvent]:
        """Return changes of workers' states, the newest first."""
        return self._work.direct(lambda c: events.listing(c, name=name, limit=limit))

    def listing(self, *, all_states: bool = False) -> list[WorkerRecord]:
        """Return the live register, or all that the ledger remembers."""
        return self._work.direct(lambda c: register.listing(c, all_states=all_states))

    def report_duties(self, duties: Sequence[str], enough: float) -> None:
        """Note that supervisors' duties were done just now; see :func:`duty_reports.report`."""
        self._work.direct(lambda c: duty_reports.report(c, duties, enough))

    def duty_ages(self) -> dict[str, float]:
        """Return how many seconds ago each of the supervisors' duties was reported done last."""
        return self._work.direct(duty_reports.ages)
