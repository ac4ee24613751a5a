"""Recording how attempts ended: the jobs' transitions, the attempts' rows, dead letters and counts commit together.

Any number of attempts is settled by one statement (two on SQLite), each under its own fence: what a stale one says is not
written, and holds up no other.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from perdure.errors import LeaseLost
from perdure.ledger import counts, direct
from perdure.ledger.batch import encoded, rows_of
from perdure.ledger.dead_letters import writing
from perdure.ledger.dialects import HOT, NOW
from perdure.ledger.jobs import recovery
from perdure.model.ids import new_id
from perdure.model.records import Claim, Settlement
from perdure.model.states import JobState, Outcome, Transition, target
from perdure.model.text.storable import MAX_ERROR, MAX_TRACEBACK, storable, storable_name

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: A claim and how it ended.
Ending = tuple[Claim, Settlement]


class Settled(Struct, frozen=True):
    """What became of endings that were to be recorded.

    Attributes:
        states: Of jobs whose ending was written, the state that each has come to.
        lost: The jobs whose fence is stale, each with what to say of it; nothing was written of them.
    """

    states: dict[str, str] = field(default_factory=dict)
    lost: dict[str, LeaseLost] = field(default_factory=dict)

    @classmethod
    def together(cls, parts: Iterable[Settled]) -> Settled:
        """Return several as one."""
        whole = cls()
        for part in parts:
            whole.states.update(part.states)
            whole.lost.update(part.lost)
        return whole

    def written(self, endings: Iterable[Ending]) -> list[Ending]:
        """Return those of the endings that were written, as they were: who was to wait and was cancelled is cancelled."""
        known = [
            (claim, settlement, self.states[claim.job_id]) for claim, settlement in endings if claim.job_id in self.states
        ]
        return [
            (claim, settlement.cancelled if state == JobState.CANCELLED else settlement)
            for claim, settlement, state in known
        ]


_COLUMNS = {
    "of_job": "text",
    "of_fence": "int",
    "to_state": "text",
    "unburned": "int",
    "crashed": "int",
    "snoozed": "int",
    "released": "int",
    "in_seconds": "float8",
    "is_final": "int",
    "began_at": "float8",
    "new_result": "text",
    "new_error_type": "text",
    "new_error": "text",
    "new_traceback": "text",
    "letter": "text",
    "new_outcome": "text",
    "by_worker": "text",
    "by_pid": "int",
    "kind": "int",
}

_RECORDED = "(job_id, number, outcome, worker, worker_pid, started_at, finished_at, error_type, error, traceback)"


#: It was to wait, for whatever reason, and was cancelled while it ran: it does not begin again.
_CANCELLED = "(is_final = 0 AND cancel_requested_at IS NOT NULL)"


#: PostgreSQL counts the ids of an array and finds them by the index; of rows in a JSON text it guesses that there are 100,
#: and reads the table for one.
_AMONG = {"sqlite": "", "postgresql": "AND id = ANY(CAST(:ids AS text[]))"}


def _update(dialect: str) -> str:
    # The state is an expression, because without statistics SQLite prefers its index to the one of the ids; and one of
    # which PostgreSQL guesses that it holds for half of the rows, and not for one in 200: where it expects a single job it
    # compares each of a slice with each.
    # A fence is given twice by a standby that takes over before it had the claim: then it is his who claimed there.
    moment = NOW[dialect]
    return f"""
        UPDATE {HOT[dialect]} SET
            state = CASE WHEN {_CANCELLED} THEN '{JobState.CANCELLED}' ELSE to_state END,
            attempt = attempt - unburned, crashes = crashes + crashed, snoozes = snoozes + snoozed,
            worker_id = NULL, worker_pid = NULL,
            worker_name = CASE WHEN released = 1 THEN NULL ELSE worker_name END,
            run_at = CASE WHEN {_CANCELLED} THEN NULL WHEN to_state = 'retrying' THEN {moment} + coalesce(in_seconds, 0)
                WHEN to_state = 'queued' THEN coalesce(queued_at, {moment}) END,
            started_at = CASE WHEN released = 1 THEN NULL ELSE began_at END,
            first_started_at = CASE WHEN released = 1 AND first_started_at = started_at THEN NULL ELSE first_started_at END,
            finished_at = CASE WHEN is_final = 1 OR {_CANCELLED} THEN {moment} END,
            result = new_result,
            error_type = CASE WHEN released = 1 THEN error_type ELSE new_error_type END,
            error = CASE WHEN released = 1 THEN error ELSE new_error END,
            dead_letter_id = letter
        FROM {rows_of(dialect, _COLUMNS)}
        WHERE id = of_job AND fence = of_fence AND worker_name = by_worker
            AND CASE state WHEN 'running' THEN true END {_AMONG[dialect]}
    """


_ERRORS = "new_error_type, new_error, new_traceback"


def _attempt_values(dialect: str) -> str:
    return f"of_job, of_fence, new_outcome, by_worker, by_pid, began_at, {NOW[dialect]}, {_ERRORS}"


#: What the parts of PostgreSQL's statement have of each settled job. It is kept and read three times: no column too many.
_SETTLED = f"of_job, of_fence, new_outcome, by_worker, by_pid, began_at, {_ERRORS}, kind, perdure_jobs.state AS now_state"

#: PostgreSQL takes all changes in one statement, which is its own transaction: one round trip and not four.
PARTS = f"""
    settled AS ({_update("postgresql")} RETURNING {_SETTLED}),
    recorded AS (
        INSERT INTO perdure_attempts {_RECORDED}
        SELECT {_attempt_values("postgresql")} FROM settled WHERE new_outcome IS NOT NULL
        ON CONFLICT DO NOTHING
    ),
    counted AS ({counts.APPEND_SETTLED})
    """
_SETTLE_AND_RECORD = f"WITH {PARTS} SELECT of_job, now_state FROM settled"
_SETTLE = f"{_update('sqlite')} RETURNING id, state"
_RECORD = f"""
    INSERT INTO perdure_attempts {_RECORDED}
    SELECT {_attempt_values("sqlite")} FROM {rows_of("sqlite", _COLUMNS)} WHERE new_outcome IS NOT NULL
    ON CONFLICT DO NOTHING
"""
_SETTLED_BY = """
    SELECT a.outcome, j.state FROM perdure_attempts a JOIN perdure_jobs j ON j.id = a.job_id
    WHERE a.job_id = :of_job AND a.number = :of_fence AND a.worker = :of_worker
"""
_LETTER_OF = "SELECT dead_letter_id FROM perdure_jobs WHERE id = :of_job"


def in_one_statement(dialect: str, endings: Sequence[Ending]) -> bool:
    """Return whether these settlements need no transaction around them."""
    return dialect == "postgresql" and not any(settlement.death or claim.crashes for claim, settlement in endings)


def settle_all(connection: Where, endings: Sequence[Ending], release: str | None = None) -> Settled:
    """Record how claims ended.

    Safe to repeat: a second settling of the same claim with the same outcome is the first one whose commit was in doubt.

    Args:
        connection: Where to do it, in a transaction unless :func:`in_one_statement`.
        endings: Claims of different jobs, and how each ended.
        release: The application's release, for dead letters; None if it is not known.
    """
    rows = [_row(claim, settlement) for claim, settlement in endings]
    states = _write(connection, rows, endings)
    _bury(connection, endings, rows, states, release)
    for claim, settlement in endings:
        if claim.crashes and settlement.outcome is not None and claim.job_id in states:
            counts.add(connection, recovery.of(connection, claim))
    return judged(connection, endings, states)


def judged(connection: Where, endings: Sequence[Ending], states: dict[str, str]) -> Settled:
    """Return what became of endings, of which these have come to a state; the others were settled before, or are stale."""
    settled = Settled(states)
    for claim, settlement in endings:
        if claim.job_id in states or settlement.outcome is None:
            continue  # of a release nothing was to be recorded: whoever has the job now has it
        whose = {"of_job": claim.job_id, "of_fence": claim.fence, "of_worker": claim.worker_name}
        [(outcome, state)] = direct.rows(connection, _SETTLED_BY, whose) or [(None, None)]
        if outcome == settlement.outcome:
            states[claim.job_id] = state
        else:
            settled.lost[claim.job_id] = _stale(claim, outcome)
    return settled


def settle(
    connection: Where, claim: Claim, settlement: Settlement, release: str | None = None
) -> tuple[Settled, str | None]:
    """Record how one claim ended; see :func:`settle_all`.

    Returns:
        What became of it, and the id of the dead letter, if one was written.

    Raises:
        LeaseLost: The claim's fence is stale; nothing was written.
    """
    settled = settle_all(connection, [(claim, settlement)], release)
    for error in settled.lost.values():
        raise error
    if settlement.death is None:
        return settled, None
    [(letter,)] = direct.rows(connection, _LETTER_OF, {"of_job": claim.job_id})
    return settled, letter


def parameters(endings: Sequence[Ending], rows: Sequence[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Return the parameters of PostgreSQL's statement."""
    rows = [_row(claim, settlement) for claim, settlement in endings] if rows is None else rows
    kinds = counts.numbered(endings, rows)  # which it writes into the rows, too
    return {**encoded(rows), "ids": [row["of_job"] for row in rows], "kinds": kinds}


def _write(connection: Where, rows: Sequence[dict[str, Any]], endings: Sequence[Ending]) -> dict[str, str]:
    """Write and return the states of those jobs whose fences hold."""
    if connection.dialect.name == "postgresql":
        return dict(direct.rows(connection, _SETTLE_AND_RECORD, parameters(endings, rows)))
    states: dict[str, str] = dict(direct.rows(connection, _SETTLE, encoded(rows)))
    direct.run(connection, _RECORD, encoded([row for row in rows if row["of_job"] in states]))
    counts.add(connection, counts.of_settled(endings, states))
    return states


def _bury(
    connection: Where,
    endings: Sequence[Ending],
    rows: Sequence[dict[str, Any]],
    settled: Container[str],
    release: str | None,
) -> None:
    letters = [
        _letter(claim, settlement, row) | writing.of_job(connection, claim.job_id)
        for (claim, settlement), row in zip(endings, rows, strict=True)
        if settlement.death is not None and claim.job_id in settled
    ]
    if letters:
        writing.write(connection, letters, release)


def _row(claim: Claim, settlement: Settlement) -> dict[str, Any]:
    state = target(settlement.transition)
    row = {
        "of_job": claim.job_id,
        "of_fence": claim.fence,
        "to_state": state.value,
        "unburned": 0 if settlement.burns else 1,
        "crashed": int(settlement.transition is Transition.LOSE or settlement.outcome is Outcome.CRASHED),
        "snoozed": int(settlement.transition is Transition.SNOOZE),
        "released": int(settlement.transition is Transition.RELEASE),
        "is_final": int(state.is_final),
        "began_at": claim.started_at,
        "new_result": settlement.result,
        "by_worker": claim.worker_name,
        "by_pid": claim.worker_pid,
    }
    if settlement.outcome is not None:
        row["new_outcome"] = settlement.outcome.value
    if state is JobState.RETRYING:
        row["in_seconds"] = settlement.delay
    if settlement.error_type is not None or settlement.error is not None:
        row["new_error_type"] = storable_name(settlement.error_type)
        row["new_error"] = storable(settlement.error, MAX_ERROR)
        row["new_traceback"] = storable(settlement.traceback, MAX_TRACEBACK)
    if settlement.death is not None:
        row["letter"] = new_id()
    return row


def _letter(claim: Claim, settlement: Settlement, row: dict[str, Any]) -> dict[str, Any]:
    assert settlement.death is not None
    return {
        "id": row["letter"],
        "job_id": claim.job_id,
        "task": claim.task,
        "bulkhead": claim.bulkhead,
        "args": claim.args,
        "kwargs": claim.kwargs,
        "reason": settlement.death.reason.value,
        "fingerprint": settlement.death.fingerprint,
        "error_type": row.get("new_error_type"),
        "error": row.get("new_error"),
        "traceback": row.get("new_traceback"),
        "breaker": settlement.death.breaker or claim.breaker,
    }


def _stale(claim: Claim, recorded: str | None) -> LeaseLost:
    return LeaseLost(
        f"{claim.task} {claim.job_id}: fence {claim.fence} is stale"
        + (f", the attempt was recorded as {recorded}" if recorded else "")
        + "; this worker's outcome is not written"
    )
