"""The time by the database's clock, asked for by itself; statements say :data:`perdure.ledger.dialects.NOW`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, NOW

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

_CLOCK = {dialect: f"SELECT {NOW[dialect]}" for dialect in DIALECTS}


def clock(connection: Where) -> float:
    """Return the ledger's time, seconds since the epoch."""
    [(moment,)] = direct.rows(connection, _CLOCK[connection.dialect.name], {})
    return float(moment)
