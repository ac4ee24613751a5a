"""SQL conditions on a job's state, taken from the transition table.

States are written into the SQL as literals: a database proves that a partial index fits from literals, not from parameters.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Insert, Table, literal_column
from sqlalchemy.dialects import postgresql, sqlite

from perdure.ledger.schema import jobs
from perdure.states import JobState, Transition, sources


def state_is(*states: JobState | str) -> ColumnElement[bool]:
    """Return the condition that a job is in one of these states."""
    literals: list[ColumnElement[str]] = [literal_column(f"'{JobState(state).value}'") for state in states]
    return jobs.c.state == literals[0] if len(literals) == 1 else jobs.c.state.in_(literals)


def may(transition: Transition) -> ColumnElement[bool]:
    """Return the condition that this transition may happen to a job."""
    return state_is(*sources(transition))


def insert_ignoring(table: Table, dialect: str) -> postgresql.Insert | sqlite.Insert:
    """Return an INSERT that skips rows which are there already."""
    statement = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    return statement.on_conflict_do_nothing()


def upsert(table: Table, dialect: str, keys: list[str]) -> Insert:
    """Return an INSERT that replaces the row that has the same keys."""
    statement = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    others = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=others)
