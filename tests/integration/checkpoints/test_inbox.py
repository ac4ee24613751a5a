"""The inbox: an effect in another database happens once, however often and from wherever it is tried."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, Table, create_engine, func, insert, select

from perdure.stores.inbox import Inbox

effects = Table("inbox_effects", MetaData(), Column("number", Integer))


@pytest.fixture
def engine(ledger_url: str) -> Iterator[Engine]:
    made = create_engine(ledger_url)
    effects.create(made)
    yield made
    made.dispose()


@pytest.fixture
def inbox(engine: Engine) -> Inbox:
    made = Inbox()
    made.create(engine)
    made.create(engine)  # is there already
    return made


def book(engine: Engine, inbox: Inbox, key: str, step: str = "", *, fails: bool = False) -> None:
    with engine.begin() as connection:
        if inbox.is_new(connection, key, step):
            connection.execute(insert(effects).values(number=1))
        if fails:
            raise ConnectionError("after the effect")


def count(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(effects)).scalar_one()


def test_once_for_each_key_and_step(engine: Engine, inbox: Inbox) -> None:
    for _ in range(3):
        book(engine, inbox, "o-1")
        book(engine, inbox, "o-1", "mail")
        book(engine, inbox, "o-2")
    assert count(engine) == 3


def test_what_was_rolled_back_is_new_again(engine: Engine, inbox: Inbox) -> None:
    with pytest.raises(ConnectionError):
        book(engine, inbox, "o-1", fails=True)
    assert count(engine) == 0
    book(engine, inbox, "o-1")
    assert count(engine) == 1


def test_side_by_side(engine: Engine, inbox: Inbox) -> None:
    threads = [threading.Thread(target=book, args=(engine, inbox, "o-1")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert count(engine) == 1


def test_forgetting(engine: Engine, inbox: Inbox) -> None:
    book(engine, inbox, "o-1")
    with engine.begin() as connection:
        assert inbox.forget(connection, datetime.now(UTC) - timedelta(hours=1)) == 0
        assert inbox.forget(connection, datetime.now(UTC) + timedelta(hours=1)) == 1
    book(engine, inbox, "o-1")
    assert count(engine) == 2
