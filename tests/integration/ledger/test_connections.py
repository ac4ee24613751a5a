"""Connections of a process: as few as it uses at once, and the last one is at hand."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.pool import QueuePool

from perdure.ledger import Ledger
from support.ledgers import submitted


def driven(connection: Connection) -> Any:
    return connection.connection.driver_connection


def used(ledger: Ledger) -> int:
    pool = ledger.database.engine.pool
    assert isinstance(pool, QueuePool)
    return pool.checkedout()


def test_one_serves_statements_and_transactions(ledger: Ledger) -> None:
    submitted(ledger)
    found = ledger.read(driven)
    with ledger.transaction() as connection:
        assert driven(connection) is found
    assert ledger.read(driven) is found


def test_who_finds_it_in_use_takes_another_and_one_stays_at_hand(ledger: Ledger) -> None:
    submitted(ledger)
    assert ledger.read(lambda first: ledger.read(lambda second: driven(first) is driven(second))) is False
    assert used(ledger) == 1


def test_it_is_not_kept_when_something_fails(ledger: Ledger) -> None:
    submitted(ledger)
    try:
        ledger.read(lambda _: 1 / 0)
    except ZeroDivisionError:
        assert used(ledger) == 0
