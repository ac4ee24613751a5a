"""Effects in another database that happen once: a table there remembers what was done, in the effect's own transaction.

The pattern is known as inbox or idempotent consumer (https://microservices.io/patterns/communication-style/idempotent-consumer.html).
In the ledger's own database ``ctx.transaction()`` does without it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, Connection, DateTime, Engine, MetaData, String, Table, delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

# A savepoint would do everywhere, but Python's sqlite3 begins no transaction for one, and then cannot roll back.
_INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class Inbox:
    """Remembers by key and step what has been done in a database::

        inbox = Inbox()
        inbox.create(engine)

        with engine.begin() as connection:
            if inbox.is_new(connection, ctx.idempotency_key, "book"):
                connection.execute(insert(bookings).values(...))

    Args:
        name: The table's name.
        metadata: Where to declare it, for instance that of an application's migrations; its own one by default.
    """

    def __init__(self, name: str = "perdure_inbox", metadata: MetaData | None = None) -> None:
        self.table = Table(
            name,
            metadata if metadata is not None else MetaData(),
            Column("key", String(255), primary_key=True),
            Column("step", String(255), primary_key=True),
            Column("done_at", DateTime(timezone=True), nullable=False),
        )

    def create(self, engine: Engine) -> None:
        """Make the table when it is not there."""
        self.table.create(engine, checkfirst=True)

    def is_new(self, connection: Connection, key: str, step: str = "") -> bool:
        """Note that something is done, and return whether it is so for the first time.

        The note commits or rolls back with the caller's transaction. Whoever comes with the same key meanwhile waits for
        that, where the database's isolation has them wait.

        Args:
            connection: A connection in the transaction that has the effect.
            key: ``ctx.idempotency_key``: the same in every attempt, and in replays with the same arguments.
            step: What is done, when a job does several things.
        """
        values = {"key": key, "step": step, "done_at": datetime.now(UTC)}
        if (insert := _INSERTS.get(connection.dialect.name)) is not None:
            statement = insert(self.table).values(values).on_conflict_do_nothing().returning(self.table.c.key)
            return connection.execute(statement).first() is not None
        try:
            with connection.begin_nested():
                connection.execute(self.table.insert().values(values))
        except IntegrityError:
            return False
        return True

    def forget(self, connection: Connection, before: datetime) -> int:
        """Delete what is old and return how many rows; later repeats are not recognised any more.

        Args:
            connection: A connection in a transaction.
            before: What was noted before this moment goes.
        """
        return connection.execute(delete(self.table).where(self.table.c.done_at < before)).rowcount
