"""Making a restored ledger safe: whoever worked before it was restored can write no more.

A worker that lived then may hold a claim which the restored ledger does not know, and gives the same fence to another one.
So every fence that may be claimed again grows by more than any job is claimed between a backup and its restore. The same
goes for the epochs of primary-backup groups: whoever was primary, or promoted somebody, does so in an epoch that is over.
"""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import Connection, Insert, case, func, insert, literal, null, select, update

from perdure.ledger.conditions import state_is
from perdure.ledger.now import now
from perdure.ledger.schema import attempts, jobs, replication_groups, workers
from perdure.ledger.workers.register import GONE, LIVE, change_state
from perdure.model.states import WAITING_STATES, JobState, Outcome, Transition, target

#: By how much fences grow. A job is claimed a few times a second at most; the column has room for 2,000 restores.
GAP = 1_000_000
REASON = "the ledger was restored: who worked before it has no lease"

_RUNNING = state_is(JobState.RUNNING, by_index=False)
_MAY_BE_CLAIMED = state_is(JobState.RUNNING, JobState.CANCELLED, *sorted(WAITING_STATES), by_index=False)


class Fenced(Struct, frozen=True):
    """What was done to a restored ledger.

    Attributes:
        waiting: Jobs that wait now.
        taken_back: Those of them that ran when the backup was made; it counts no crash and burns no attempt.
        workers: Workers that had a lease then, and have none now.
    """

    waiting: int
    taken_back: int
    workers: int


def fence(connection: Connection) -> Fenced:
    """Take back every claim and every lease of a restored ledger, in the caller's transaction."""
    connection.execute(update(jobs).where(_MAY_BE_CLAIMED).values(fence=jobs.c.fence + GAP))
    connection.execute(update(replication_groups).values(epoch=replication_groups.c.epoch + GAP))
    connection.execute(_handed_back())
    taken_back = connection.execute(_QUEUE_AGAIN).rowcount
    live = connection.execute(select(workers.c.id).where(workers.c.state.in_(LIVE))).scalars().all()
    for worker in live:
        change_state(connection, worker, GONE, REASON)
    waits = select(func.count()).select_from(jobs).where(state_is(*sorted(WAITING_STATES)))
    return Fenced(connection.execute(waits).scalar_one(), taken_back, len(live))


def _handed_back() -> Insert:
    columns = ["job_id", "number", "outcome", "worker", "worker_pid", "started_at", "finished_at", "error"]
    of = (
        jobs.c.id,
        jobs.c.fence - GAP,
        literal(Outcome.HANDED_BACK.value),
        jobs.c.worker_name,
        jobs.c.worker_pid,
        jobs.c.started_at,
        now(),
        literal(REASON),
    )
    return insert(attempts).from_select(columns, select(*of).where(_RUNNING))


_IS_CANCELLED = jobs.c.cancel_requested_at.is_not(None)
#: As a worker that drains gives them back; see :mod:`perdure.ledger.jobs.settle`.
_QUEUE_AGAIN = (
    update(jobs)
    .where(_RUNNING)
    .values(
        state=case((_IS_CANCELLED, target(Transition.CANCEL).value), else_=target(Transition.HAND_BACK).value),
        run_at=case((_IS_CANCELLED, null()), else_=func.coalesce(jobs.c.queued_at, now())),
        finished_at=case((_IS_CANCELLED, now()), else_=null()),
        attempt=jobs.c.attempt - 1,
        worker_id=null(),
        worker_pid=null(),
    )
)
