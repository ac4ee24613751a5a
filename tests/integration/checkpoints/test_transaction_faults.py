"""In ``ctx.transaction()`` a job's own mistakes in SQL are its own errors; only the database's faults are the ledger's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from perdure import JobContext, LedgerUnavailable, Perdure
from perdure.system.ports import free_port
from support.waiting import wait_until

Attempts = Callable[..., JobContext]
Statements = Callable[[Connection], object]


@pytest.fixture
def orders(app: Perdure) -> Iterator[None]:
    """A table of the application in the ledger's database."""
    deferred = " DEFERRABLE INITIALLY DEFERRED" if is_postgresql(app) else ""

    def create(connection: Connection) -> None:
        connection.execute(text("DROP TABLE IF EXISTS orders"))
        connection.execute(
            text(f"CREATE TABLE orders (id integer PRIMARY KEY, code integer NOT NULL, UNIQUE (code){deferred})")
        )
        connection.execute(text("INSERT INTO orders VALUES (1, 1)"))

    app.ledger.transact(create)
    yield
    app.ledger.transact(lambda connection: connection.execute(text("DROP TABLE orders")))


def is_postgresql(app: Perdure) -> bool:
    return app.ledger.database.dialect == "postgresql"


def run(statement: str) -> Statements:
    return lambda connection: connection.execute(text(statement))


def caught(connection: Connection) -> None:
    """Go on after an error, as if nothing had been."""
    with pytest.raises(DBAPIError):
        connection.execute(text("SELECT * FROM nowhere"))
    connection.execute(text("INSERT INTO orders VALUES (2, 2)"))


MISTAKES: dict[str, Statements] = {
    "no table": run("SELECT * FROM nowhere"),
    "no column": run("SELECT nothing FROM orders"),
    "syntax": run("SELEKT 1"),
    "no function": run("SELECT no_such_function(1)"),
    "duplicate": run("INSERT INTO orders VALUES (1, 7)"),
    "null": run("INSERT INTO orders VALUES (2, NULL)"),
    "parameter missing": run("INSERT INTO orders VALUES (2, :code)"),
    "parameter of no type": lambda c: c.execute(text("INSERT INTO orders VALUES (2, :code)"), {"code": object()}),
    "two statements": run("SELECT 1; SELECT * FROM nowhere"),
}
POSTGRESQL_MISTAKES: dict[str, Statements] = {
    "number too large": run("INSERT INTO orders VALUES (2, 99999999999)"),
    "division by zero": run("SELECT 1 / 0"),
    "statement timeout": lambda c: [
        run(f"{each}")(c) for each in ("SET LOCAL statement_timeout = 50", "SELECT pg_sleep(60)")
    ],
    "an error that was caught": caught,
    "raised by a trigger": run("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'P0001'; END $$"),
    "serialization failure": run("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END $$"),
    "deadlock": run("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40P01'; END $$"),
}


@pytest.mark.parametrize(
    "statements", [*MISTAKES.values(), *POSTGRESQL_MISTAKES.values()], ids=[*MISTAKES, *POSTGRESQL_MISTAKES]
)
@pytest.mark.usefixtures("orders")
def test_a_mistake_in_sql_is_the_job_s_own_error(app: Perdure, attempt: Attempts, statements: Statements) -> None:
    if statements in POSTGRESQL_MISTAKES.values() and not is_postgresql(app):
        return
    ctx = attempt()
    with pytest.raises(StatementError), ctx.transaction() as connection:  # noqa: PT012 - the block is tested
        ctx.checkpoint.save(1)
        statements(connection)
    assert ctx.checkpoint.load() is None
    with ctx.transaction() as connection:  # nothing is in doubt: the attempt can go on
        connection.execute(text("INSERT INTO orders VALUES (3, 3)"))
        ctx.checkpoint.save(2)
    assert ctx.checkpoint.load() == 2


@pytest.mark.usefixtures("orders")
def test_a_constraint_that_is_checked_at_the_commit(app: Perdure, attempt: Attempts) -> None:
    ctx = attempt()
    with pytest.raises(IntegrityError), ctx.transaction() as connection:
        connection.execute(text("INSERT INTO orders VALUES (2, 1)"))
    with ctx.transaction():
        ctx.checkpoint.save(2)
    assert ctx.checkpoint.load() == 2


@pytest.mark.usefixtures("orders")
def test_a_lock_that_is_waited_for_too_long(app: Perdure, attempt: Attempts) -> None:
    if not is_postgresql(app):
        return
    ctx = attempt()
    with app.ledger.database.engine.begin() as other:
        other.execute(text("SELECT * FROM orders FOR UPDATE"))
        with pytest.raises(DBAPIError, match="lock timeout"), ctx.transaction() as connection:  # noqa: PT012
            connection.execute(text("SET LOCAL lock_timeout = 50"))
            connection.execute(text("UPDATE orders SET code = 2"))


def unreachable(tmp_path: Path) -> Engine:
    return create_engine(f"postgresql+psycopg://ann@127.0.0.1:{free_port()}/shop")


def used_up(tmp_path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db", pool_size=1, max_overflow=0, pool_timeout=0.01)
    engine.holder = engine.connect()  # type: ignore[attr-defined]
    return engine


@pytest.mark.parametrize("other", [unreachable, used_up])
def test_another_database_is_not_the_ledger(attempt: Attempts, other: Callable[[Path], Engine], tmp_path: Path) -> None:
    engine = other(tmp_path)
    with pytest.raises((DBAPIError, PoolTimeout)), attempt().transaction():
        engine.connect()
    engine.dispose()


@pytest.mark.usefixtures("orders")
def test_a_database_that_goes_away_or_takes_nothing_is_the_ledger_s_fault(app: Perdure, attempt: Attempts) -> None:
    ctx = attempt()
    with pytest.raises(LedgerUnavailable), ctx.transaction() as connection:  # noqa: PT012 - the block is tested
        if is_postgresql(app):
            pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            app.ledger.read(lambda other: other.execute(text(f"SELECT pg_terminate_backend({pid}, 10000)")))
        else:
            connection.execute(text("PRAGMA query_only=1"))
        connection.execute(text("INSERT INTO orders VALUES (2, 2)"))
    app.ledger.close()
    with ctx.transaction():
        ctx.checkpoint.save(1)
    assert ctx.checkpoint.load() == 1


@pytest.mark.usefixtures("orders")
def test_a_full_disk_is_the_ledger_s_fault(app: Perdure, attempt: Attempts) -> None:
    ctx = attempt()
    with pytest.raises(LedgerUnavailable, match="full"), ctx.transaction() as connection:  # noqa: PT012
        if is_postgresql(app):
            connection.execute(text("DO $$ BEGIN RAISE EXCEPTION 'disk full' USING ERRCODE = '53100'; END $$"))
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count={pages}"))
        connection.execute(text("CREATE TABLE more AS SELECT zeroblob(100000)"))
    app.ledger.close()


@pytest.mark.parametrize("goes_on", [True, False])
@pytest.mark.usefixtures("orders")
def test_a_transaction_that_idled_longer_than_the_server_allows(app: Perdure, attempt: Attempts, goes_on: bool) -> None:
    """It is the job's own error: taken for an outage, the job would run again for ever, and burn nothing."""
    if not is_postgresql(app):
        return
    ctx = attempt()
    with pytest.raises(DBAPIError, match="idle-in-transaction timeout"), ctx.transaction() as connection:  # noqa: PT012
        ctx.checkpoint.save(1)
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 50"))
        gone = text(f"SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = {pid}")
        wait_until(lambda: app.ledger.read(lambda other: other.execute(gone).scalar_one()))
        if goes_on:
            connection.execute(text("SELECT 1"))
    with ctx.transaction():
        ctx.checkpoint.save(2)
    assert ctx.checkpoint.load() == 2
