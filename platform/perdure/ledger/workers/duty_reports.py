"""When the supervisors' duties were last done, whoever did them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from perdure.ledger import direct
from perdure.ledger.batch import encoded, rows_of
from perdure.ledger.dialects import DIALECTS, NOW

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: What the names of these facts begin with.
_PREFIX = "duty:"

_REPORT = {
    dialect: f"""
    INSERT INTO perdure_facts AS f (name, value, updated_at)
    SELECT s.name, '', {NOW[dialect]} FROM {rows_of(dialect, {"name": "text"})} WHERE true
    ON CONFLICT (name) DO UPDATE SET updated_at = excluded.updated_at WHERE f.updated_at < excluded.updated_at - :enough
    """
    for dialect in DIALECTS
}
_AGES = {
    dialect: f"SELECT name, {NOW[dialect]} - updated_at FROM perdure_facts WHERE name LIKE '{_PREFIX}%'"
    for dialect in DIALECTS
}


def report(connection: Where, duties: Sequence[str], enough: float) -> None:
    """Note that duties were done just now.

    Args:
        connection: Where to write.
        duties: Their names.
        enough: Seconds for which somebody else's report is new enough, so that nothing is written.
    """
    # In one order, so that two supervisors never wait for each other.
    names = encoded([{"name": f"{_PREFIX}{duty}"} for duty in sorted(duties)])
    direct.run(connection, _REPORT[connection.dialect.name], {**names, "enough": enough})


def ages(connection: Where) -> dict[str, float]:
    """Return how many seconds ago each duty was reported done last; nothing where no supervisor has run yet."""
    rows = direct.rows(connection, _AGES[connection.dialect.name], {})
    return {name.removeprefix(_PREFIX): max(0.0, age) for name, age in rows}
