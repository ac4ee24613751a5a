"""SQL conditions of SQLAlchemy's; see :mod:`perdure.ledger.jobs.states` for those of statements that are text.

States are written into the SQL as literals: a database proves that a partial index fits from literals, not from parameters.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Table, and_, case, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from perdure.ledger.now import now
from perdure.ledger.schema import jobs
from perdure.model.ids import CLOCK_SKEW, earliest_id
from perdure.model.states import JobState


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


class exactly(FunctionElement[bool]):  # noqa: N801 - reads as the condition that it is
    """The condition that a column has a value, for lists in the order of that column and then of ids.

    PostgreSQL takes a column that equals something out of the order, and where the value is common it reads all rows by id
    until enough have it: all that are newer. What lies in a range stays in the order, which only the column's index has.

    Args:
        column: The first column of an index whose next one is the id.
        value: An expression, or what the column is compared with.
    """

    # No type: a boolean is compared with 1 on SQLite, which has none, and then no index serves it.
    name = "perdure_exactly"
    inherit_cache = True


@compiles(exactly, "sqlite")
def _equal(element: exactly, compiler: Any, **options: Any) -> str:
    column, value = (compiler.process(part, **options) for part in element.clauses)
    return f"({column} = {value})"


@compiles(exactly, "postgresql")
def _in_range(element: exactly, compiler: Any, **options: Any) -> str:
    column, value = (compiler.process(part, **options) for part in element.clauses)
    return f"({column} >= {value} AND {column} <= {value})"


#: A job whose time has come is queued as far as people are concerned; nothing but its claim writes anything.
IS_DUE = and_(state_is(JobState.SCHEDULED, JobState.RETRYING, by_index=False), jobs.c.run_at <= now())


def seen_state() -> ColumnElement[str]:
    """Return a job's state as people see it, under the name that records are made of."""
    return case((IS_DUE, JobState.QUEUED.value), else_=jobs.c.state).label("seen_state")


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


def made_before(
    made: ColumnElement[str], created_at: ColumnElement[float], until: float
) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return the conditions that a row was made before a moment: whatever :func:`made_since` leaves out."""
    return made < earliest_id(until + CLOCK_SKEW), created_at < until - 1e-6


def insert_ignoring(table: Table, dialect: str) -> Any:
    """Return an INSERT that skips rows which are there already.

    SQLAlchemy has it for each database by itself. Only this one's is loaded: PostgreSQL's takes 3 MB, and 40 ms.
    """
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]
    return insert(table).on_conflict_do_nothing()
