"""A ledger in the application's own database: each Alembic leaves the other's tables alone; session= is checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Index, Integer, MetaData, Table, create_engine
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.orm import Session

from perdure import InvalidArguments, Perdure
from perdure.alembic import include_name
from perdure.ledger import migrate

OWN = MetaData()
ORDERS = Table("orders", OWN, Column("id", Integer, primary_key=True), Column("cents", Integer))
Index("ix_orders_cents", ORDERS.c.cents)


@pytest.fixture
def app(bare_url: str, redis_url: str, tmp_path: Path) -> Iterator[Perdure]:
    made = Perdure(ledger_url=bare_url, broker_url=redis_url, home=tmp_path / "home")
    made.job(name="work")(lambda: None)
    made.ledger.upgrade()
    yield made
    made.close()


@pytest.fixture
def engine(app: Perdure, bare_url: str) -> Iterator[Engine]:
    made = create_engine(bare_url)
    OWN.create_all(made)
    yield made
    made.dispose()


def changes(engine: Engine, **options: Any) -> list[Any]:
    with engine.connect() as connection:
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), OWN))


def test_autogenerate_of_the_application_sees_no_table_of_the_ledger(engine: Engine) -> None:
    assert "perdure_" in str(changes(engine)), "without the helper it would drop them"
    assert changes(engine, include_name=include_name) == []
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP INDEX ix_orders_cents")
    [change] = changes(engine, include_name=include_name)
    assert change[0] == "add_index"


def test_the_check_of_the_ledger_sees_no_table_of_the_application(app: Perdure, engine: Engine) -> None:
    assert migrate.drift(app.ledger.database) == []


def test_a_session_of_the_same_database_is_taken_whatever_its_url(app: Perdure, engine: Engine, bare_url: str) -> None:
    other = make_url(bare_url)
    if other.host:
        other = other.set(host="localhost")
    for bound in (engine, create_engine(other)):
        with Session(bound) as session:
            app.task("work").options(session=session).submit()
            session.rollback()
        with Session(bound) as session:
            app.task("work").options(session=session).submit()
            session.commit()
        bound.dispose()
    assert app.jobs.count(by="state") == {"queued": 2}


def test_a_session_of_another_database_is_refused(
    app: Perdure, postgres_server: Any, sqlite_url: str, tmp_path: Path
) -> None:
    others = [f"sqlite:///{tmp_path}/other.db", "sqlite://", postgres_server.url]
    for url in others:
        engine = create_engine(url)
        with (
            Session(engine) as session,
            pytest.raises(InvalidArguments, match="one transaction cannot be in both") as refused,
        ):
            app.task("work").options(session=session).submit()
        assert "***" in str(refused.value) or url.startswith("sqlite")
        engine.dispose()
    assert app.jobs.count(by="state") == {}
