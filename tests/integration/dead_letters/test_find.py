"""Dead letters are found by everything that is known of them, in pages that stay as they are."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from perdure import Perdure
from perdure.errors import InvalidArguments
from perdure.model.ids import new_id
from perdure.model.records import Death
from perdure.model.states import DeadReason
from support.ledgers import DIE, RETRY, claimed, dead, running

Die = Callable[..., str]


def found(app: Perdure, **filters: object) -> list[str]:
    return [letter.id for letter in app.dead_letters.list(**filters)]  # type: ignore[arg-type]


def test_each_filter_and_all_together(shop: Perdure, die: Die) -> None:
    first = die(tags={"tenant": "a"}, breaker="payments")
    second = die("shop.mail", "bob@example.org", error="Mailbox full", error_type="smtp.MailboxFull", tags={"tenant": "b"})
    third = die(error="card 4242 declined", reason=DeadReason.TIMEOUT, bulkhead="background", tags={"tenant": "a"})
    shop.dead_letters.discard(third, "test card", by="ann")

    assert found(shop) == [third, second, first]
    assert found(shop, task="shop.charge") == [third, first]
    assert found(shop, bulkhead="background") == [third]
    assert found(shop, error="smtp.MailboxFull") == [second]
    assert found(shop, reason="timeout") == [third]
    assert found(shop, tag=("tenant", "a")) == [third, first]
    assert found(shop, tag="tenant=b") == [second]
    assert found(shop, breaker="payments") == [first]
    assert found(shop, status="open") == [second, first]
    assert found(shop, fingerprint=shop.dead_letters.get(second).fingerprint) == [second]
    assert found(shop, since=datetime.now(UTC) - timedelta(minutes=5), until=datetime.now(UTC) + timedelta(minutes=5)) == [
        third,
        second,
        first,
    ]
    assert found(shop, until=time.time() - 300) == []
    assert found(shop, task="shop.charge", tag="tenant=a", text="declined", status="open", reason="exhausted") == [first]
    assert shop.dead_letters.count(task="shop.charge") == 2


@pytest.mark.parametrize(
    ("text", "which"),
    [
        ("declined", {0, 2}),
        ("DECLINED card", {0, 2}),
        ("4242", {2}),
        ("declined 4242", {2}),
        ("bob", {1}),
        ("bob@example.org", {1}),
        ("MailboxFull", {1}),
        ("mailbox", {1}),
        ("o-1", {0, 2}),
        ("mail", {1}),
        ("nowhere", set()),
        ("declined nowhere", set()),
        ("decl", set()),
    ],
)
def test_text(shop: Perdure, die: Die, text: str, which: set[int]) -> None:
    letters = [
        die(),
        die("shop.mail", "bob@example.org", error="no room", error_type="smtp.MailboxFull"),
        die(error="card 4242 declined"),
    ]
    assert found(shop, text=text) == [letters[index] for index in sorted(which, reverse=True)]


@pytest.mark.parametrize("filters", [{}, {"text": "declined"}, {"tag": "tenant=a"}, {"task": "shop.charge"}])
def test_pages_stay_as_they_are_while_letters_come_in(shop: Perdure, die: Die, filters: dict[str, str]) -> None:
    letters = [die(tags={"tenant": "a"}) for _ in range(7)]
    page = found(shop, limit=3, **filters)
    die(tags={"tenant": "a"})
    pages = [page]
    while page := found(shop, limit=3, after=page[-1], **filters):
        pages.append(page)
    assert [letter for page in pages for letter in page] == letters[::-1]


@pytest.mark.parametrize(
    "filters",
    [{"status": "opened"}, {"reason": "timeouts"}, {"tag": "tenant"}, {"since": "last week"}],
)
def test_a_filter_that_cannot_be_is_refused(shop: Perdure, filters: dict[str, str]) -> None:
    with pytest.raises(InvalidArguments):
        found(shop, **filters)
    with pytest.raises(InvalidArguments, match="Did you mean 'task'"):
        shop.dead_letters.count(tsk="x")


def test_groups_have_counts_times_trend_and_note(shop: Perdure, die: Die) -> None:
    charged = [die(error=f"card {number} declined") for number in range(4)]
    mailed = die("shop.mail", error="no room", error_type="OSError")
    shop.dead_letters.replay(charged[0])
    shop.dead_letters.discard(charged[1], "test card")

    many, one = shop.dead_letters.groups()

    assert (many.count, many.open, many.replayed, many.discarded, many.seen) == (4, 2, 1, 1, 4)
    assert (one.count, one.error_type, one.error, one.reason) == (1, "OSError", "no room", "exhausted")
    assert sum(many.trend) == 4
    assert many.trend[-1] + many.trend[-2] == 4  # the hour may have changed meanwhile
    first, last = shop.dead_letters.get(charged[0]).created_at, shop.dead_letters.get(charged[3]).created_at
    assert (many.first_seen, many.last_seen) == (first, last)
    assert shop.dead_letters.groups(task="shop.mail") == [one]
    assert shop.dead_letters.groups(error="OSError") == [one]
    assert shop.dead_letters.groups(order="last_seen")[0] == one
    shop.dead_letters.discard(mailed, "x")
    assert [group.fingerprint for group in shop.dead_letters.groups(open_only=True)] == [many.fingerprint]
    assert shop.dead_letters.groups(since=time.time() + 300) == []
    noted = shop.dead_letters.note_group(many.fingerprint, "known, fixed in 1.4", by="ann")
    assert noted is not None
    assert (noted.note, noted.noted_by) == ("known, fixed in 1.4", "ann")
    with pytest.raises(InvalidArguments, match="count, last_seen"):
        shop.dead_letters.groups(order="name")


def test_everything_about_one_letter(shop: Perdure) -> None:
    options: dict[str, Any] = {"task": "shop.mail", "tags": {"tenant": "a"}, "priority": 3, "timeout": 20.0}
    claim = running(shop.ledger, "ann", **options)
    shop.ledger.running.save_checkpoint(claim.job_id, claim.fence, "main", b"123", 0)
    shop.ledger.jobs.settle(claim, replace(RETRY, delay=0.0))
    letter_id = shop.ledger.jobs.settle(claimed(shop.ledger, claim.job_id), DIE) or ""
    detail = shop.dead_letters.show(letter_id)
    letter = detail.letter
    assert (letter.tags, letter.priority, letter.timeout) == ({"tenant": "a"}, 3, 20.0)
    assert (letter.attempts, letter.checkpoint_seq, letter.generation) == (2, 1, 0)
    assert [(attempt.number, attempt.outcome) for attempt in detail.attempts] == [(1, "failed"), (2, "failed")]
    assert all(attempt.worker == "w-1" and attempt.started_at and attempt.traceback for attempt in detail.attempts)
    assert [(kept["name"], kept["seq"], kept["bytes"]) for kept in detail.checkpoints] == [("main", 1, 3)]
    assert [entry.job_id for entry in detail.lineage] == [letter.job_id]
    assert detail.group is not None
    assert detail.group.fingerprint == letter.fingerprint
    assert detail.audit == []


@pytest.mark.parametrize("reason", list(DeadReason))
def test_every_reason_is_kept(shop: Perdure, reason: DeadReason) -> None:
    _, letter_id = dead(shop.ledger, settlement=replace(DIE, death=Death(reason, "f" * 16)))
    assert shop.dead_letters.get(letter_id).reason == reason.value
    assert found(shop, reason=reason.value) == [letter_id]


def test_a_message_is_found_by_its_text(shop: Perdure) -> None:
    letter = {"id": new_id(), "task": "?", "bulkhead": "normal", "reason": "malformed", "error_type": "malformed"}
    shop.ledger.letters.quarantine({**letter, "error": "x", "fingerprint": "a" * 16, "raw": b'{}\nhello "wor\xffld"'})
    assert found(shop, text="hello") == [letter["id"]]
