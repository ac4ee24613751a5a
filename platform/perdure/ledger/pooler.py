"""Poolers that give a connection another session for each transaction, such as PgBouncer in transaction mode.

What lives in a session is lost there, or is somebody else's: prepared statements (``prepared statement "_pg3_0" already
exists``) and advisory locks. https://www.pgbouncer.org/features.html#sql-feature-map-for-pooling-modes
"""

from __future__ import annotations

import logging
from typing import Any

logger = logging.getLogger("perdure.ledger")

#: What a session is told. The server keeps the plan of a prepared statement until somebody analyzes the table. One that
#: was made while there were few jobs reads the whole table, and a hundred thousand may have come since. To plan costs
#: 0.1-0.3 ms; what hot statements are told instead is in :mod:`perdure.ledger.postgresql`.
#: A client's host that vanishes in a transaction leaves its locks for two hours, unless the server's kernel probes as well.
_SESSION = """
    SET plan_cache_mode = force_custom_plan;
    SET tcp_keepalives_idle = 4; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3;
    SET tcp_user_timeout = 10000
"""


class Pooler:
    """Whether a pooler stands between this process and a PostgreSQL server.

    Args:
        said: ``transaction`` or ``none`` when the URL says it (``?pooler=``); ``auto`` finds out by the first connection.
    """

    def __init__(self, said: str = "auto") -> None:
        self.found: bool | None = {"transaction": True, "none": False}.get(said)

    def prepare(self, connection: Any) -> None:
        """Make a new connection of psycopg fit for what it leads to."""
        if self.found is None:
            self.found = _is_pooled(connection)
            if self.found:
                logger.info("a pooler answers for the ledger: no prepared statements, no session locks")
        if self.found:
            connection.prepare_threshold = None
            return
        connection.execute(_SESSION, prepare=False)
        connection.commit()


def _is_pooled(connection: Any) -> bool:
    """Return whether the server process that runs statements is another one than the connection was told of.

    A pooler answers the connection itself, and so with a number of its own; the server's it could not know yet.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()", prepare=False)
        [(runs,)] = cursor.fetchall()
    connection.rollback()
    told: int = connection.info.backend_pid
    return bool(runs != told)
