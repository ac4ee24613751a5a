"""What there is to do for supervisors: one statement asks for all that there hardly ever is.

Each thing has a statement of its own that finds and does it; asked one by one, they are most of what an idle worker costs.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Boolean, ColumnElement, Connection, and_, bindparam, exists, literal_column, or_, select, text

from perdure.ledger.alerts import outbox
from perdure.ledger.dead_letters import notices
from perdure.ledger.dialects import DIALECTS, texts
from perdure.ledger.hot import hot
from perdure.ledger.jobs import bury
from perdure.ledger.running import claims
from perdure.ledger.schema import alert_notifications, dead_letter_groups, jobs
from perdure.ledger.workers import register, silent


def _waits(which: Sequence[ColumnElement[bool]]) -> ColumnElement[bool]:
    return hot(select(jobs.c.id).where(*which)).exists()


#: By the names of the duties that do it.
_DUE = {
    dialect: select(
        or_(
            exists().where(*silent.IS_SILENT),
            and_(bindparam("thorough", type_=Boolean), exists().where(*claims.IS_ORPHANING)),
        ).label("expire"),
        or_(_waits(bury.EXPIRED), _waits(bury.UNKNOWN)).label("bury"),
        exists().select_from(dead_letter_groups).where(literal_column(notices.IS_CHANGED)).label("notice"),
        exists().select_from(alert_notifications).where(text(outbox.IS_DUE[dialect])).label("notify"),
        exists().where(*register.IS_NEIGHBOUR, register.LOCK_PATH.not_in(bindparam("held", expanding=True))).label("watch"),
    )
    for dialect in DIALECTS
}


def due(
    connection: Connection, *, host: str, held: Sequence[str], ttl: float, notifiers: Sequence[str], thorough: bool
) -> frozenset[str]:
    """Return the names of the duties that find something to do.

    Args:
        connection: Where to read.
        host: This machine, whose workers are neighbours.
        held: The lock files of this process itself.
        ttl: Seconds after which a job of a task that no worker knows dies.
        notifiers: The notifiers that this process knows.
        thorough: Whether to look for what dead workers still run as well, which costs a look at each of them.
    """
    dialect = connection.dialect.name
    values = {"on_host": host, "held": held, "ttl": ttl, "mine": texts(dialect, notifiers), "thorough": thorough}
    row = connection.execute(_DUE[dialect], values).one()
    return frozenset(name for name, is_due in row._mapping.items() if is_due)
