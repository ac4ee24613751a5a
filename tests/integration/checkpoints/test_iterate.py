"""``ctx.iterate``: a loop goes on where it was, in constant time, and each item has its effects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, insert, select

from perdure import JobContext, Perdure
from perdure.errors import HandedBack
from perdure.model.storage_errors import CursorMismatch
from perdure.stores.sources.keyset import KeysetCursor
from perdure.stores.sources.lines import TextLines

Attempts = Callable[..., JobContext]
rows = Table("rows_to_copy", MetaData(), Column("id", Integer, primary_key=True))
copies = Table("copied_rows", MetaData(), Column("id", Integer))


class Died(Exception):
    """The attempt ends in the middle."""


def loop(ctx: JobContext, source: Any, until: Any = None, **how: Any) -> list[Any]:
    """What an attempt sees of a source, until it dies at an item."""
    seen = []
    for item in ctx.iterate(source, **how):
        seen.append(item)
        if item == until:
            break
    return seen


def test_what_was_saved_does_not_come_again(attempt: Attempts) -> None:
    first = attempt()
    assert loop(first, range(10), until=7, every=3) == list(range(8))
    second = attempt(first)
    assert loop(second, range(10), every=3) == [6, 7, 8, 9]
    assert loop(attempt(second), range(10)) == []


def test_ten_million_items_are_not_read_again(attempt: Attempts) -> None:
    class Watched:
        read = 0

        def __len__(self) -> int:
            return 10_000_000

        def __getitem__(self, index: int) -> int:
            self.read += 1
            return index

    first = attempt()
    source: Any = Watched()
    iteration = first.iterate(source)
    next(iteration)
    iteration._position = 9_999_990
    iteration.save()
    source.read = 0
    assert loop(attempt(first), source) == list(range(9_999_990, 10_000_000))
    assert source.read == 10


def test_lines_go_on_at_a_byte(attempt: Attempts, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("".join(f"line {n}\n" for n in range(100)))
    first = attempt()
    loop(first, TextLines(file), until="line 57\n", every=10)
    second = attempt(first)
    assert loop(second, TextLines(file), until="line 50\n") == ["line 50\n"]
    file.write_text("short\n")
    with pytest.raises(CursorMismatch):
        loop(attempt(second), TextLines(file))


def test_queries_go_on_at_a_key(attempt: Attempts, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    rows.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(rows), [{"id": number} for number in range(1, 101)])
    first, cursor = attempt(), lambda: KeysetCursor(engine, select(rows.c.id), key=rows.c.id)
    loop(first, cursor(), until=(42,), every=10)
    assert [row.id for row in loop(attempt(first), cursor())] == list(range(41, 101))
    engine.dispose()


def test_a_function_of_a_position(attempt: Attempts) -> None:
    asked = []

    def pages(token: str | None) -> Iterator[tuple[int, str]]:
        asked.append(token)
        for number in range(int(token or 0), 9):
            yield number, str(number + 1)

    first = attempt()
    loop(first, pages, until=5, every=2)
    assert loop(attempt(first), pages) == [4, 5, 6, 7, 8]
    assert asked == [None, "4"]


def test_a_generator_is_refused(attempt: Attempts) -> None:
    with pytest.raises(TypeError, match="can be read once only"):
        attempt().iterate(number for number in range(3))  # type: ignore[call-overload]


def test_two_loops_have_places_of_their_own(attempt: Attempts) -> None:
    first = attempt()
    assert loop(first, "abc") == ["a", "b", "c"]
    loop(first, "xyz", until="y", every=1)
    second = attempt(first)
    assert (loop(second, "abc"), loop(second, "xyz")) == ([], ["y", "z"])


def test_a_drain_hands_back_with_the_item_done(attempt: Attempts) -> None:
    draining: list[bool] = []
    first, seen = attempt(draining=lambda: bool(draining)), []

    def work() -> None:
        for item in first.iterate(range(10), seconds=1000):
            seen.append(item)
            if item == 4:
                draining.append(True)

    with pytest.raises(HandedBack):
        work()
    assert seen == [0, 1, 2, 3, 4]
    assert loop(attempt(first), range(10)) == [5, 6, 7, 8, 9]


def test_progress_is_told(attempt: Attempts, app: Perdure) -> None:
    first = attempt()
    loop(first, range(40), until=20, every=5)
    progress = app.ledger.jobs.get(first.job_id).progress
    assert progress is not None
    assert (progress.done, progress.total) == (1, 40)  # the others are within the progress interval
    loop(attempt(first), range(40))
    progress = app.ledger.jobs.get(first.job_id).progress
    assert progress is not None
    assert (progress.done, progress.total) == (40, 40)


def test_with_a_transaction_each_item_has_its_effect_once(attempt: Attempts, app: Perdure) -> None:
    app.ledger.transact(lambda c: copies.create(c))
    ctx = attempt()
    for dies_at in (3, 7, None):
        try:
            for number in (copying := ctx.iterate(range(10))):
                with ctx.transaction() as connection:
                    connection.execute(insert(copies).values(id=number))
                    if number == dies_at:
                        raise Died
                    copying.save()
        except Died:
            ctx = attempt(ctx)
    found = app.ledger.read(lambda c: list(c.execute(select(copies.c.id).order_by(copies.c.id)).scalars()))
    app.ledger.transact(lambda c: copies.drop(c))
    assert found == list(range(10))
