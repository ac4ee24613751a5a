"""Letters are discarded, purged, exported and imported, in batches; the audit trail tells of each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from perdure import InvalidArguments, Perdure
from perdure.errors import DeadLetterNotFound
from perdure.ledger import Ledger
from perdure.ledger.schema import (
    attempts,
    checkpoints,
    dead_letter_audit,
    dead_letter_groups,
    dead_letter_hours,
    dead_letter_tags,
    dead_letter_words,
    dead_letters,
)
from perdure.manage.dead_letters.resolve import BATCH
from perdure.model.ids import new_id
from perdure_workers.supervisor.maintenance import prune
from support.ledgers import DIE, running
from support.shop import define

Die = Callable[..., str]


def rows(ledger: Ledger, *tables: object) -> list[int]:
    with ledger.database.engine.connect() as connection:
        return [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]  # type: ignore[arg-type]


def age(ledger: Ledger, days: float) -> None:
    """Make all that is in the ledger older."""
    with ledger.database.engine.begin() as connection:
        for table, columns in {
            "dead_letters": ["created_at"],
            "jobs": ["created_at", "finished_at"],
            "dead_letter_audit": ["at"],
            "dead_letter_groups": ["first_seen", "last_seen"],
        }.items():
            changes = ", ".join(f"{column} = {column} - {days * 86400}" for column in columns)
            connection.execute(text(f"UPDATE perdure_{table} SET {changes}"))
        connection.execute(text(f"UPDATE perdure_dead_letter_hours SET hour = hour - {int(days * 24)}"))


def test_discarding_many(shop: Perdure, die: Die) -> None:
    charged, mailed = [die() for _ in range(5)], die("shop.mail")
    shop.dead_letters.replay(charged[0])
    batches: list[int] = []
    count = shop.dead_letters.discard_many(
        "test cards", by="ann", source="a test", on_batch=batches.append, task="shop.charge"
    )
    assert (count, batches) == (4, [4])
    assert shop.dead_letters.count(status="discarded") == 4
    assert [shop.dead_letters.get(letter).status for letter in (charged[0], mailed)] == ["replayed", "open"]
    entries = [entry for entry in shop.dead_letters.audit() if entry.action == "discard"]
    assert {(entry.who, entry.source, entry.detail["reason"]) for entry in entries} == {("ann", "a test", "test cards")}
    assert {entry.letter_id for entry in entries} == set(charged[1:])
    assert shop.dead_letters.discard_many("again", task="shop.charge") == 0


def test_purging_leaves_nothing_of_a_letter_but_the_trail(shop: Perdure, die: Die) -> None:
    kept, gone = die(error="card kept"), [die(error="card gone", tags={"tenant": "a"}) for _ in range(BATCH + 5)]
    shop.dead_letters.discard_many("no", fingerprint=shop.dead_letters.get(gone[0]).fingerprint)
    batches: list[int] = []

    assert shop.dead_letters.purge(status="discarded", by="ann", on_batch=batches.append) == BATCH + 5

    assert batches == [BATCH, 5]
    assert [letter.id for letter in shop.dead_letters.list()] == [kept]
    assert shop.dead_letters.list(text="gone") == []
    assert rows(shop.ledger, dead_letters, dead_letter_tags) == [1, 0]
    assert rows(shop.ledger, dead_letter_words)[0] == rows_of(shop.ledger, kept)
    assert [group.count for group in shop.dead_letters.groups()] == [1]
    entry = shop.dead_letters.audit()[0]
    assert (entry.action, entry.who, entry.detail) == (
        "purge",
        "ann",
        {"count": BATCH + 5, "which": {"status": "discarded"}},
    )
    assert len(shop.dead_letters.audit(letter_id=gone[0])) == 1


def rows_of(ledger: Ledger, letter_id: str) -> int:
    with ledger.database.engine.connect() as connection:
        mine = select(func.count()).where(dead_letter_words.c.letter_id == letter_id)
        return connection.execute(mine).scalar_one()


def test_open_letters_are_purged_only_when_they_are_named(shop: Perdure, die: Die) -> None:
    letter_id = die()
    with pytest.raises(InvalidArguments, match="everything=True"):
        shop.dead_letters.purge()
    assert shop.dead_letters.purge(everything=True) == 0
    assert shop.dead_letters.purge(task="shop.charge") == 0
    assert shop.dead_letters.get(letter_id).status == "open"
    assert shop.dead_letters.purge(status="open", task="shop.charge") == 1
    assert shop.dead_letters.groups() == []


def test_maintenance_deletes_what_was_dealt_with_when_its_time_is_over(
    shop: Perdure, die: Die, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The jobs' ids say that they were made just now.
    monkeypatch.setattr("perdure.ledger.jobs.prune.CLOCK_SKEW", 1_000 * 24 * 3600.0)
    waiting, done, noted = die(error="waiting"), die(error="done"), die(error="noted")
    shop.dead_letters.replay(done)
    shop.dead_letters.discard(noted, "x")
    shop.dead_letters.note_group(shop.dead_letters.get(noted).fingerprint, "known")
    assert not any(prune(shop).values())
    age(shop.ledger, days=100)
    assert prune(shop)["dead_letters"] == 0
    assert rows(shop.ledger, dead_letters) == [3]
    assert rows(shop.ledger, dead_letter_hours) == [0]  # the trend is of the last day
    age(shop.ledger, days=100)

    deleted = prune(shop)

    assert deleted["dead_letters"] == 2
    assert [letter.id for letter in shop.dead_letters.list()] == [waiting]
    assert [group.count for group in shop.dead_letters.groups()] == [1]
    assert rows(shop.ledger, dead_letter_groups, dead_letter_audit) == [2, 0]  # the one with a note stays
    assert shop.jobs.count() == {"dead": 1, "queued": 1}


def elsewhere(shop: Perdure, request: pytest.FixtureRequest, tmp_path: Path) -> Perdure:
    """Another environment, with the same tasks and another ledger."""
    file = shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "elsewhere.sqlite3")
    other = Perdure(ledger_url=f"sqlite:///{file}", broker_url=shop.settings.effective_broker_url, home=tmp_path / "other")
    define(other)
    return other


def test_export_and_import_move_letters_between_environments(
    shop: Perdure, die: Die, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    claim = running(shop.ledger, "ann", task="shop.mail", tags={"tenant": "a"}, priority=2)
    shop.ledger.running.save_checkpoint(claim.job_id, claim.fence, "main", b'"half"', 0)
    mailed = shop.ledger.jobs.settle(claim, DIE) or ""
    message = {"id": new_id(), "task": "?", "bulkhead": "normal", "reason": "malformed", "error_type": "malformed"}
    shop.ledger.letters.quarantine({**message, "error": "x", "fingerprint": "a" * 16, "raw": b"\x00\xff"})
    other_letter = die()
    lines = list(shop.dead_letters.export(by="ann", status="open"))
    other = elsewhere(shop, request, tmp_path)
    try:
        report = other.dead_letters.import_lines(lines, by="bob", source="staging")
        assert (report.imported, report.known) == (3, 0)
        assert other.dead_letters.list() == shop.dead_letters.list()
        assert other.dead_letters.show(mailed).attempts == shop.dead_letters.show(mailed).attempts
        assert [group.count for group in other.dead_letters.groups()] == [1, 1, 1]
        assert [letter.id for letter in other.dead_letters.list(tag="tenant=a")] == [mailed]
        assert [letter.id for letter in other.dead_letters.list(text="declined")] == [other_letter]
        again = other.dead_letters.import_lines(lines)
        assert (again.imported, again.known) == (0, 3)
        job = other.dead_letters.replay(mailed, from_checkpoint=True)
        assert other.ledger.running.load_checkpoint(job.id, "main")[0].data == b'"half"'
        assert [entry.job_id for entry in job.lineage()] == [claim.job_id, job.id]
        entry = other.dead_letters.audit(letter_id=mailed)[-1]
        assert (entry.action, entry.who, entry.source) == ("import", "bob", "staging")
        assert shop.dead_letters.audit()[0].detail == {"count": 3, "which": {"status": "open"}}
        assert rows(other.ledger, attempts, checkpoints) == [2, 2]
        other.dead_letters.purge(status="open")
        other.dead_letters.purge(everything=True)
        assert rows(other.ledger, attempts, checkpoints, dead_letters, dead_letter_words) == [0, 1, 0, 0]
    finally:
        other.close()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda line: "{", "line 2 is no exported"),
        (lambda line: "[]", "line 2 is no exported"),
        (lambda line: line.replace("letter/1", "letter/9"), "format 'perdure.dead-letter/9'"),
        (lambda line: line.replace('"status":"open"', '"status":"new"'), "status 'new'"),
        (lambda line: line.replace('"letter":{', '"letter":{"more":1,'), "more"),
        (lambda line: json.dumps({**json.loads(line), "letter": {**json.loads(line)["letter"], "args": "{}"}}), "array"),
    ],
)
def test_a_line_that_is_no_letter_is_named(shop: Perdure, die: Die, change: Callable[[str], str], said: str) -> None:
    die()
    [line] = shop.dead_letters.export()
    with pytest.raises(InvalidArguments, match=said):
        shop.dead_letters.import_lines([line, change(line)])


def test_a_discard_is_taken_back(shop: Perdure, die: Die) -> None:
    replayed, open_ = die(), die()
    shop.dead_letters.replay(replayed)
    for letter in (replayed, open_):
        shop.dead_letters.discard(letter, "by mistake", by="ann")
    group = shop.dead_letters.groups()[0]
    assert (group.open, group.replayed, group.discarded) == (0, 0, 2)
    assert shop.dead_letters.reopen(open_, by="bob").status == "open"
    assert shop.dead_letters.reopen(replayed, by="bob").status == "replayed"
    assert shop.dead_letters.reopen(open_, by="bob").resolved_reason is None
    group = shop.dead_letters.groups()[0]
    assert (group.open, group.replayed, group.discarded) == (1, 1, 0)
    assert [(entry.who, entry.action) for entry in shop.dead_letters.audit(letter_id=open_)][:1] == [("bob", "reopen")]
    with pytest.raises(DeadLetterNotFound):
        shop.dead_letters.reopen("nobody")


def test_what_one_has_discarded_in_one_go_is_taken_back_and_nothing_else(shop: Perdure, die: Die) -> None:
    before, mine, others = die(), [die() for _ in range(3)], die()
    shop.dead_letters.discard(before, "long known", by="ann")
    first = new_id()
    assert shop.dead_letters.discard_many("by mistake", "ann", task="shop.charge") == 4
    last = new_id()
    shop.dead_letters.reopen(others)
    shop.dead_letters.discard(others, "rightly", by="bob")
    assert shop.dead_letters.undo_discard(first, last, "bob") == 0
    assert shop.dead_letters.undo_discard(last, new_id(), "ann") == 0
    assert shop.dead_letters.undo_discard(first, last, "ann") == 3
    assert {shop.dead_letters.get(letter).status for letter in mine} == {"open"}
    assert {shop.dead_letters.get(letter).status for letter in (before, others)} == {"discarded"}
    assert shop.dead_letters.undo_discard(first, last, "ann") == 0
