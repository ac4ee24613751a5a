from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import (
    Column,
    DateTime,
    Engine,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Uuid,
    create_engine,
    event,
    insert,
    select,
)
from sqlalchemy.orm import registry
from sqlalchemy.pool import StaticPool

from perdure.model.storage_errors import CursorMismatch
from perdure.stores.sources.cursor import as_cursor
from perdure.stores.sources.keyset import KeysetCursor

metadata = MetaData()
orders = Table(
    "orders",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("tenant", String),
    Column("at", DateTime(timezone=True)),
    Column("cents", Numeric(10, 2)),
    Column("ref", Uuid),
)
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    metadata.create_all(engine)
    rows = [
        {
            "id": n,
            "tenant": "abc"[n % 3],
            "at": START + timedelta(seconds=n),
            "cents": Decimal(n) / 4,
            "ref": UUID(int=n),
        }
        for n in range(1, 26)
    ]
    with engine.begin() as connection:
        connection.execute(insert(orders), rows)
    yield engine
    engine.dispose()


KEYS: dict[str, Any] = {
    "integer": orders.c.id,
    "time": orders.c.at,
    "decimal": orders.c.cents,
    "uuid": orders.c.ref,
    "two columns": (orders.c.tenant, orders.c.id),
}


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("key", KEYS)
def test_going_on_after_every_row_gives_the_rest(engine: Engine, key: str, descending: bool) -> None:
    cursor = KeysetCursor(engine, select(orders), KEYS[key], page_rows=4, descending=descending)
    whole = list(cursor.open(None))
    assert sorted(row.id for row, _ in whole) == list(range(1, 26))
    for index, (_, after) in enumerate(whole):
        position = json.loads(json.dumps(after))
        assert list(cursor.open(position)) == whole[index + 1 :]
        assert cursor.done(position) == index + 1


def test_each_row_is_fetched_once_and_none_before_the_position(engine: Engine) -> None:
    statements: list[tuple[str, Any]] = []
    event.listen(engine, "before_cursor_execute", lambda c, cur, sql, params, ctx, many: statements.append((sql, params)))
    cursor = KeysetCursor(engine, select(orders.c.id), orders.c.id, page_rows=10)
    assert [row.id for row, _ in cursor.open([20, 20])] == [21, 22, 23, 24, 25]
    ((sql, params),) = statements
    assert "orders.id > ?" in sql
    assert params == (20, 10, 0)  # key, LIMIT, and the OFFSET 0 that SQLite's dialect always writes


def test_the_users_conditions_stay(engine: Engine) -> None:
    cursor = KeysetCursor(engine, select(orders.c.id).where(orders.c.tenant == "a"), orders.c.id, page_rows=3, count=True)
    assert as_cursor(cursor) is cursor
    assert [row.id for row, _ in cursor.open(None)] == [3, 6, 9, 12, 15, 18, 21, 24]
    assert [row.id for row, _ in cursor.open([2, 6])] == [9, 12, 15, 18, 21, 24]
    assert cursor.total() == 8
    assert KeysetCursor(engine, select(orders), orders.c.id).total() is None


def test_mapped_attributes_are_columns_too(engine: Engine) -> None:
    class Order:
        id: Any
        tenant: Any

    registry().map_imperatively(Order, orders)
    cursor = KeysetCursor(engine, select(Order.id, Order.tenant), (Order.tenant, Order.id), page_rows=4)
    assert len(list(cursor.open(None))) == 25
    assert [row.id for row, _ in cursor.open([24, "c", 20])] == [23]
    assert [row.id for row, _ in KeysetCursor(engine, select(Order.id), Order.id).open([24, 24])] == [25]


def test_a_table_of_whole_pages_ends(engine: Engine) -> None:
    assert len(list(KeysetCursor(engine, select(orders), orders.c.id, page_rows=5).open(None))) == 25
    assert list(KeysetCursor(engine, select(orders), orders.c.id, page_rows=5).open([25, 25])) == []


@pytest.mark.parametrize(
    ("query", "key", "why"),
    [
        (select(orders).limit(5), orders.c.id, "LIMIT"),
        (select(orders).offset(5), orders.c.id, "OFFSET"),
        (select(orders).order_by(orders.c.at), orders.c.id, "ORDER BY"),
        (select(orders.c.at), orders.c.id, r"does not select its key column orders\.id"),
        (select(orders), (), "at least one column"),
    ],
)
def test_a_query_that_cannot_be_resumed_is_refused(engine: Engine, query: Any, key: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        KeysetCursor(engine, query, key)


@pytest.mark.parametrize("position", [5, [5], [5, 1, 2], "x", [5, "not a number"], ["x", 1]])
def test_a_position_of_another_key_is_told(engine: Engine, position: Any) -> None:
    with pytest.raises(CursorMismatch, match="Clear the checkpoint"):
        KeysetCursor(engine, select(orders), orders.c.id).open(position)


def test_a_row_without_a_key_is_told(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(orders), [{"id": 99}])
    with pytest.raises(CursorMismatch, match="NULL"):
        list(KeysetCursor(engine, select(orders), orders.c.at).open(None))
