"""SQL conditions on a job's state, taken from the transition table.

States are written into the SQL as literals: a database proves that a partial index fits from literals, not from parameters.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Insert, Select, Table, literal_column, select
from sqlalchemy.dialects import postgresql, sqlite

from perdure.ids import earliest_id
from perdure.ledger.schema import jobs
from perdure.states import JobState, Transition, sources

DIALECTS = ("sqlite", "postgresql")

#: Seconds by which a submitter's clock may be slow before a list "since" a moment misses its jobs.
CLOCK_SKEW = 24 * 3600.0


def state_is(*states: JobState | str, by_index: bool = True) -> ColumnElement[bool]:
    """Return the condition that a job is in one of these states.

    Args:
        states: The states.
        by_index: Whether the database may find them by an index of states. SQLite without statistics takes such an index
            rather than a much better one for the rest of the statement.
    """
    literals: list[ColumnElement[str]] = [literal_column(f"'{JobState(state).value}'") for state in states]
    state = jobs.c.state if by_index else jobs.c.state.concat(literal_column("''"))
    return state == literals[0] if len(literals) == 1 else state.in_(literals)


def may(transition: Transition, *, by_index: bool = True) -> ColumnElement[bool]:
    """Return the condition that this transition may happen to a job; ``by_index`` as for :func:`state_is`."""
    return state_is(*sources(transition), by_index=by_index)


def made_since(
    made: ColumnElement[str], created_at: ColumnElement[float], since: float
) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return the conditions that a row was made at a moment or later.

    The exact time has no index. The id, which sorts by its making, bounds it from below; generously, because it carries
    its maker's clock.

    Args:
        made: The column of the row's UUIDv7.
        created_at: The column of the time of its making by the database's clock.
        since: Epoch seconds, taken to the microsecond as datetimes are.
    """
    return made >= earliest_id(since - CLOCK_SKEW), created_at >= since - 1e-6


def locked_page(ids: Select[tuple[str]]) -> Select[tuple[str]]:
    """Return the ids of a bounded page of rows, locked against other supervisors, which skip them.

    Materialised, because PostgreSQL may run a plain subquery once for each row that it is compared with: each run skips
    the rows that those before have locked, and the bound bounds nothing.
    """
    page = ids.with_for_update(skip_locked=True).cte().prefix_with("MATERIALIZED", dialect="postgresql")
    return select(page.c.id)


def insert_ignoring(table: Table, dialect: str) -> postgresql.Insert | sqlite.Insert:
    """Return an INSERT that skips rows which are there already."""
    statement = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    return statement.on_conflict_do_nothing()


def upsert(table: Table, dialect: str, keys: list[str]) -> Insert:
    """Return an INSERT that replaces the row that has the same keys."""
    statement = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    others = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=others)
