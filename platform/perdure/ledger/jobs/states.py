"""Conditions on a job's state as text, taken from the transition table, for jobs that are found by something better.

They are on an expression: SQLite without statistics takes an index of states rather than a much better one, and PostgreSQL
may for an empty table, and keep that plan.
"""

from __future__ import annotations

from perdure.ledger.dialects import DIALECTS, NOW
from perdure.model.states import JobState, Transition, sources


def state_is(*states: str) -> str:
    """Return the condition that a job is in one of these states."""
    literals = ", ".join(f"'{state}'" for state in states)
    return f"state || '' IN ({literals})"


def may(transition: Transition) -> str:
    """Return the condition that this transition may happen to a job."""
    return state_is(*sources(transition))


#: A job's state as people see it; see :func:`perdure.ledger.conditions.seen_state`.
SEEN_STATE = {
    dialect: f"CASE WHEN {state_is(JobState.SCHEDULED, JobState.RETRYING)} AND run_at <= {NOW[dialect]} "
    f"THEN '{JobState.QUEUED}' ELSE state END"
    for dialect in DIALECTS
}
