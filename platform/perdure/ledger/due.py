"""What there is to do for supervisors: one statement asks for all that there hardly ever is.

Each thing has a statement of its own that finds and does it; asked one by one, they are most of what an idle worker costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from perdure.ledger import direct
from perdure.ledger.alerts import outbox
from perdure.ledger.dead_letters import notices
from perdure.ledger.dialects import DIALECTS, HOT, one_of, texts
from perdure.ledger.jobs import bury
from perdure.ledger.running import claims
from perdure.ledger.workers import register, silent

if TYPE_CHECKING:
    from perdure.ledger.direct import Where


def _there_is(table: str, condition: str) -> str:
    return f"EXISTS (SELECT 1 FROM {table} WHERE {condition})"


def _of_duties(dialect: str) -> dict[str, str]:
    """Return the conditions that duties find something to do, by their names."""
    workers, jobs = "perdure_workers", HOT[dialect]
    is_silent = _there_is(workers, silent.IS_SILENT[dialect])
    is_orphaning = _there_is(workers, claims.IS_ORPHANING[dialect])
    return {
        "expire": f"{is_silent} OR (:thorough AND {is_orphaning})",
        "bury": f"{_there_is(jobs, bury.EXPIRED[dialect])} OR {_there_is(jobs, bury.UNKNOWN[dialect])}",
        "notice": _there_is("perdure_dead_letter_groups", notices.IS_CHANGED),
        "notify": _there_is("perdure_alert_notifications", outbox.IS_DUE[dialect]),
        "watch": _there_is(workers, f"{register.IS_NEIGHBOUR} AND NOT {one_of(dialect, 'lock_path', 'held')}"),
    }


_DUE = {dialect: f"SELECT {', '.join(_of_duties(dialect).values())}" for dialect in DIALECTS}
_DUTIES = tuple(_of_duties(DIALECTS[0]))


def due(
    connection: Where, *, host: str, held: Sequence[str], ttl: float, notifiers: Sequence[str], thorough: bool
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
    own = {"held": texts(dialect, held), "mine": texts(dialect, notifiers)}
    values = {"on_host": host, **own, "ttl": ttl, "thorough": thorough}
    [row] = direct.rows(connection, _DUE[dialect], values)
    return frozenset(duty for duty, is_due in zip(_DUTIES, row, strict=True) if is_due)
