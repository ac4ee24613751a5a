"""A bank and a warehouse, as others run them: they answer, refuse, or are away. Here a SQLite file stands in for both."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

AWAY = Path("bank-is-away")
SOLD_OUT = ("plums",)


class Refused(Exception):
    """The service has understood, and says no: trying again changes nothing."""


def charge(key: str, order: str, cents: int, item: str) -> None:
    """Take money; a key that the bank has seen takes nothing again."""
    if AWAY.exists():
        raise ConnectionError("the bank does not answer")
    with _books() as books:
        books.execute("INSERT OR IGNORE INTO charges VALUES (?, ?, ?, 0)", (key, order, cents))


def refund(key: str, order: str, cents: int, item: str) -> None:
    """Give the money back, once."""
    with _books() as books:
        books.execute("UPDATE charges SET refunded = 1 WHERE key = ?", (key,))


def reserve(key: str, order: str, cents: int, item: str) -> None:
    """Put goods aside."""
    if item in SOLD_OUT:
        raise Refused(f"{item} are sold out")


def release(key: str, order: str, cents: int, item: str) -> None:
    """Put goods back."""


def balance() -> tuple[int, int]:
    """Return how many charges there are, and the cents that the bank has kept."""
    with _books() as books:
        count, cents = books.execute("SELECT count(*), sum(cents * (1 - refunded)) FROM charges").fetchone()
    return count, cents or 0


@contextmanager
def _books() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect("bank.sqlite3", timeout=30)
    connection.execute("CREATE TABLE IF NOT EXISTS charges (key TEXT PRIMARY KEY, order_id TEXT, cents INT, refunded INT)")
    with connection:
        yield connection
    connection.close()
