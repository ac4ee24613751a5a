"""Recording how an attempt ended: the job's transition, the attempt's row and a dead letter commit together."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Connection, bindparam, case, null, select, update

from perdure.errors import LeaseLost
from perdure.ids import new_id
from perdure.ledger import letter_write
from perdure.ledger.conditions import DIALECTS, insert_ignoring, state_is
from perdure.ledger.now import now
from perdure.ledger.records import Claim, Settlement
from perdure.ledger.schema import attempts, jobs
from perdure.ledger.text import MAX_ERROR, MAX_TRACEBACK, storable, storable_name
from perdure.states import JobState, Transition, target

_SETTLE = (
    update(jobs)
    .where(jobs.c.id == bindparam("of_job"), jobs.c.fence == bindparam("of_fence"), state_is(JobState.RUNNING))
    .values(
        state=bindparam("to_state"),
        attempt=jobs.c.attempt - bindparam("unburned"),
        crashes=jobs.c.crashes + bindparam("crashed"),
        snoozes=jobs.c.snoozes + bindparam("snoozed"),
        worker_id=null(),
        worker_pid=null(),
        run_at=now() + bindparam("in_seconds"),
        queued_at=case((bindparam("to_queue", type_=Boolean()), now()), else_=jobs.c.queued_at),
        ticketed_at=null(),
        finished_at=case((bindparam("is_final", type_=Boolean()), now()), else_=null()),
        result=bindparam("new_result"),
        error_type=bindparam("new_error_type"),
        error=bindparam("new_error"),
        dead_letter_id=bindparam("letter"),
    )
)

_SETTLED_BY = select(attempts.c.outcome).where(
    attempts.c.job_id == bindparam("of_job"), attempts.c.number == bindparam("of_fence")
)

_LETTER_OF = select(jobs.c.dead_letter_id).where(jobs.c.id == bindparam("of_job"))

_ATTEMPT_NAMES = ("job_id", "number", "outcome", "worker", "worker_pid", "started_at", "error_type", "error", "traceback")
#: A parameter that has the name of a column would be taken for a new value of it, in the other table of the statement too.
_ATTEMPT_VALUES: dict[str, Any] = {
    **{name: bindparam(f"attempt_{name}", type_=attempts.c[name].type) for name in _ATTEMPT_NAMES},
    "finished_at": now(),
}
_RECORD = {dialect: insert_ignoring(attempts, dialect).values(_ATTEMPT_VALUES) for dialect in DIALECTS}

#: PostgreSQL takes both changes in one statement, which is its own transaction: one round trip and not four.
_SETTLED = _SETTLE.returning(jobs.c.id).cte("settled")
_RECORDED = (
    insert_ignoring(attempts, "postgresql")
    .from_select(list(_ATTEMPT_VALUES), select(*_ATTEMPT_VALUES.values()).select_from(_SETTLED))
    .cte("recorded")
)
_SETTLE_AND_RECORD = select(_SETTLED.c.id).add_cte(_RECORDED)


def in_one_statement(dialect: str, settlement: Settlement) -> bool:
    """Return whether a settlement needs no transaction around it."""
    return dialect == "postgresql" and settlement.death is None


def settle(connection: Connection, claim: Claim, settlement: Settlement) -> str | None:
    """Record how a claim ended and return the id of the dead letter, if one was written.

    Safe to repeat: a second settling of the same claim with the same outcome is the first one whose commit was in doubt.

    Raises:
        LeaseLost: The claim's fence is stale; nothing was written.
    """
    dialect = connection.dialect.name
    letter = new_id() if settlement.death else None
    changes, attempt = _job_changes(claim, settlement, letter), _attempt(claim, settlement)
    if in_one_statement(dialect, settlement):
        if connection.execute(_SETTLE_AND_RECORD, {**changes, **attempt}).first() is None:
            return _settled_before(connection, claim, settlement)
        return None
    if connection.execute(_SETTLE, changes).rowcount == 0:
        return _settled_before(connection, claim, settlement)
    connection.execute(_RECORD[dialect], attempt)
    if letter:
        letter_write.write(connection, [_letter(letter, claim, settlement) | letter_write.of_job(connection, claim.job_id)])
    return letter


def _job_changes(claim: Claim, settlement: Settlement, letter: str | None) -> dict[str, Any]:
    state = target(settlement.transition)
    return {
        "of_job": claim.job_id,
        "of_fence": claim.fence,
        "to_state": state.value,
        "unburned": 0 if settlement.burns else 1,
        "crashed": int(settlement.transition is Transition.LOSE or settlement.outcome == "crashed"),
        "snoozed": int(settlement.transition is Transition.SNOOZE),
        "in_seconds": settlement.delay if state is JobState.RETRYING else None,
        "to_queue": state is JobState.QUEUED,
        "is_final": state.is_final,
        "new_result": settlement.result,
        "new_error_type": storable_name(settlement.error_type),
        "new_error": storable(settlement.error, MAX_ERROR),
        "letter": letter,
    }


def _attempt(claim: Claim, settlement: Settlement) -> dict[str, Any]:
    return {
        "attempt_job_id": claim.job_id,
        "attempt_number": claim.fence,
        "attempt_outcome": settlement.outcome.value,
        "attempt_worker": claim.worker_name,
        "attempt_worker_pid": claim.worker_pid,
        "attempt_started_at": claim.started_at,
        "attempt_error_type": storable_name(settlement.error_type),
        "attempt_error": storable(settlement.error, MAX_ERROR),
        "attempt_traceback": storable(settlement.traceback, MAX_TRACEBACK),
    }


def _letter(letter: str, claim: Claim, settlement: Settlement) -> dict[str, Any]:
    assert settlement.death is not None
    return {
        "id": letter,
        "job_id": claim.job_id,
        "task": claim.task,
        "bulkhead": claim.bulkhead,
        "args": claim.args,
        "kwargs": claim.kwargs,
        "reason": settlement.death.reason.value,
        "fingerprint": settlement.death.fingerprint,
        "error_type": storable_name(settlement.error_type),
        "error": storable(settlement.error, MAX_ERROR),
        "traceback": storable(settlement.traceback, MAX_TRACEBACK),
        "breaker": settlement.death.breaker or claim.breaker,
    }


def _settled_before(connection: Connection, claim: Claim, settlement: Settlement) -> str | None:
    recorded = connection.execute(_SETTLED_BY, {"of_job": claim.job_id, "of_fence": claim.fence}).scalar_one_or_none()
    if recorded != settlement.outcome.value:
        raise LeaseLost(
            f"{claim.task} {claim.job_id}: fence {claim.fence} is stale"
            + (f", the attempt was recorded as {recorded}" if recorded else "")
            + "; this worker's outcome is not written"
        )
    letter: str | None = connection.execute(_LETTER_OF, {"of_job": claim.job_id}).scalar_one()
    return letter
