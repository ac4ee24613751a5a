"""Dead letters are written with the death, found by what they died of, and replayed once."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace

from perdure.errors import DeadLetterNotFound
from perdure.ledger import Ledger
from perdure.ledger.dead_letters.replay import Replay
from perdure.manage.dead_letters.filters import letter_filter
from perdure.model.dead_letter import Actor, LetterFilter
from perdure.model.ids import new_id
from perdure.model.new_job import NewJob, Submitted
from perdure.model.records import Death
from perdure.model.states import DeadReason, JobState
from support.ledgers import DIE, at_once, dead, job, submitted, try_claim

ANN, BOB = Actor("ann", "a test"), Actor("bob", "a test")


def replay(
    ledger: Ledger, letter_id: str, new: NewJob, actor: Actor = ANN, *, force: bool = False, batch: str | None = None
) -> tuple[Submitted, bool]:
    [replayed] = ledger.letters.replay([Replay(letter_id, new)], actor, force=force, batch=batch)
    return replayed.submitted, replayed.is_new


def replacement(of: str, **changes: object) -> NewJob:
    return replace(job(2), replay_of=of, **changes)  # type: ignore[arg-type]


def test_a_dead_letter_has_what_the_job_had_and_why_it_died(ledger: Ledger) -> None:
    claim, letter_id = dead(ledger, 1, "a", kwargs='{"b":2}')
    letter = ledger.letters.get(letter_id)
    assert (letter.job_id, letter.task, letter.bulkhead) == (claim.job_id, "tests.add", "normal")
    assert (letter.args, letter.kwargs, letter.reason) == ([1, "a"], {"b": 2}, "exhausted")
    assert (letter.error_type, letter.error, letter.traceback) == ("ValueError", "no", "Traceback ...")
    assert (letter.fingerprint, letter.status) == ("f" * 16, "open")
    assert (letter.replayed_as, letter.replayed_by, letter.replayed_at) == (None, None, None)
    assert letter.created_at is not None
    assert ledger.jobs.get(claim.job_id).dead_letter_id == letter_id


def test_an_unknown_letter_is_named(ledger: Ledger) -> None:
    for asking in (
        lambda: ledger.letters.get("nobody"),
        lambda: ledger.letters.discard(["nobody"], "x", ANN),
        lambda: replay(ledger, "nobody", job()),
    ):
        with pytest.raises(DeadLetterNotFound, match=r"'nobody'.*perdure dead list"):
            asking()
    assert ledger.jobs.count("state") == {}


def test_a_replay_is_a_new_job_and_the_letter_knows_of_it(ledger: Ledger) -> None:
    claim, letter_id = dead(ledger)
    new = replacement(claim.job_id)
    assert replay(ledger, letter_id, new) == (Submitted(new.id, JobState.QUEUED), True)
    letter = ledger.letters.get(letter_id)
    assert (letter.status, letter.replayed_as, letter.replayed_by) == ("replayed", new.id, "ann")
    assert letter.replayed_at is not None
    assert ledger.jobs.get(new.id).replay_of == claim.job_id
    assert ledger.jobs.get(claim.job_id).state == "dead"
    assert [found.id for found in ledger.jobs.replays_of(claim.job_id)] == [new.id]


def test_a_second_replay_is_the_first_one_unless_forced(ledger: Ledger) -> None:
    claim, letter_id = dead(ledger)
    first, second, third = (replacement(claim.job_id) for _ in range(3))
    replay(ledger, letter_id, first)
    submitted, is_new = replay(ledger, letter_id, second, BOB, force=False)
    assert (submitted.id, submitted.deduplicated, is_new) == (first.id, True, False)
    assert ledger.letters.get(letter_id).replayed_by == "ann"
    assert replay(ledger, letter_id, third, BOB, force=True) == (Submitted(third.id, JobState.QUEUED), True)
    letter = ledger.letters.get(letter_id)
    assert (letter.replayed_as, letter.replayed_by) == (third.id, "bob")
    assert ledger.jobs.count("state") == {"dead": 1, "queued": 2}


def test_a_replay_whose_commit_was_in_doubt_can_be_repeated(ledger: Ledger) -> None:
    claim, letter_id = dead(ledger)
    new = replacement(claim.job_id)
    for force in (False, False, True):
        assert replay(ledger, letter_id, new, ANN, force=force) == (Submitted(new.id, JobState.QUEUED), True)
    assert ledger.jobs.count("state") == {"dead": 1, "queued": 1}


def test_replays_at_once_make_one_job(ledger: Ledger) -> None:
    claim, letter_id = dead(ledger)
    works = [lambda: replay(ledger, letter_id, replacement(claim.job_id))] * 8
    results = at_once(works)
    assert len({submitted.id for submitted, _ in results}) == 1
    assert sum(is_new for _, is_new in results) == 1
    assert ledger.jobs.count("state") == {"dead": 1, "queued": 1}


def test_a_replay_that_dies_is_a_letter_of_its_own(ledger: Ledger) -> None:
    claim, first = dead(ledger)
    new = replacement(claim.job_id)
    replay(ledger, first, new)
    again = try_claim(ledger, new.id)
    assert again is not None
    assert again.replay_of == claim.job_id
    second = ledger.jobs.settle(again, DIE)
    assert [letter.id for letter in ledger.letters.page(LetterFilter())] == [second, first]


def test_what_waits_for_a_breaker_is_found_as_by_any_filter(ledger: Ledger) -> None:
    def died(task: str = "tests.add", breaker: str | None = "b") -> str:
        return dead(ledger, settlement=replace(DIE, death=Death(DeadReason.EXHAUSTED, "f" * 16, breaker)), task=task)[1]

    first, replayed, second, third, _, _, last = (
        died(),
        died(),
        died(),
        died(),
        died("tests.other"),
        died(breaker="c"),
        died(),
    )
    died()
    replay(ledger, replayed, job())
    which = LetterFilter(task="tests.add", breaker="b", status="open", upto=last)
    pages: list[list[str]] = []
    for _ in range(3):
        after = pages[-1][-1] if pages else None
        pages.append([one.id for one in ledger.letters.page(which, limit=2, after=after, oldest_first=True)])
    assert pages == [[first, second], [third, last], []]
    assert ledger.letters.page(which, oldest_first=True) == ledger.letters.page(which)[::-1]
    assert ledger.letters.count(which) == 4


def test_whether_a_tasks_newest_replay_is_at_work(ledger: Ledger) -> None:
    first, _, second = (submitted(ledger, tags={"auto_replay": task}) for task in ("a", "b", "a"))
    ledger.jobs.cancel(first, "")
    assert ledger.letters.replay_at_work("auto_replay", "a")
    ledger.jobs.cancel(second, "")
    assert [ledger.letters.replay_at_work("auto_replay", task) for task in ("a", "b", "c")] == [False, True, False]


def test_letters_are_counted_that_one_bulk_replay_has_replayed(ledger: Ledger) -> None:
    for batch in ("x", "y", "x"):
        replay(ledger, dead(ledger)[1], job(), batch=batch)
    replay(ledger, dead(ledger)[1], job())
    assert [ledger.letters.count_replayed(batch) for batch in ("x", "y", "z")] == [2, 1, 0]


def test_discarding_a_letter(ledger: Ledger) -> None:
    _, letter_id = dead(ledger)
    assert ledger.letters.discard([letter_id], "known fault", ANN) == [letter_id]
    letter = ledger.letters.get(letter_id)
    assert (letter.status, letter.resolved_reason) == ("discarded", "known fault (by ann)")


def test_letters_are_found_by_what_they_died_of(ledger: Ledger) -> None:
    _, first = dead(ledger)
    _, second = dead(ledger, task="tests.other")
    other = replace(DIE, error_type="KeyError", death=Death(DeadReason.DISCARDED, "e" * 16))
    _, third = dead(ledger, settlement=other)
    ledger.letters.discard([third], "x", ANN)

    def found(**filters: object) -> list[str]:
        page = {name: filters.pop(name) for name in ("limit", "after") if name in filters}
        return [letter.id for letter in ledger.letters.page(letter_filter(**filters), **page)]  # type: ignore[arg-type]

    assert found() == [third, second, first]
    assert found(task="tests.other") == [second]
    assert found(error="KeyError") == [third]
    assert found(fingerprint="f" * 16) == [second, first]
    assert found(status="open") == [second, first]
    assert found(status="open", task="tests.add") == [first]
    assert found(since=time.time() - 60) == [third, second, first]
    assert found(since=time.time() + 60) == []
    assert found(limit=2) == [third, second]
    assert found(limit=2, after=second) == [first]
    assert found(task="nobody") == []


def test_since_is_exact(ledger: Ledger) -> None:
    dead(ledger)
    time.sleep(0.005)  # SQLite's clock has milliseconds
    _, second = dead(ledger)
    moment = ledger.letters.get(second).created_at
    assert moment is not None
    assert [letter.id for letter in ledger.letters.page(letter_filter(since=moment.timestamp()))] == [second]
    assert len(ledger.letters.page(letter_filter(since=0.0))) == 2


def test_groups_count_letters_of_the_same_fault(ledger: Ledger) -> None:
    letters = [dead(ledger)[1] for _ in range(3)]
    dead(ledger, settlement=replace(DIE, error_type="KeyError", death=Death(DeadReason.DISCARDED, "e" * 16)))
    ledger.letters.discard([letters[0]], "x", ANN)
    many, one = ledger.letters.groups(limit=10)
    assert (many.fingerprint, many.count, many.open, many.error_type) == ("f" * 16, 3, 2, "ValueError")
    assert (one.fingerprint, one.count, one.open, one.error_type) == ("e" * 16, 1, 1, "KeyError")
    assert many.first_seen is not None
    assert many.last_seen is not None
    assert many.first_seen <= many.last_seen
    assert len(ledger.letters.groups(limit=1)) == 1


def test_messages_are_quarantined_with_their_raw_bytes(ledger: Ledger) -> None:
    letter_id = new_id()
    letter = {
        "id": letter_id,
        "job_id": None,
        "task": "?",
        "bulkhead": "normal",
        "reason": "malformed",
        "error_type": "malformed",
        "error": "not \x00 JSON \udcff",
        "fingerprint": "a" * 16,
        "raw": b"\x00\xff{",
    }
    ledger.letters.quarantine(letter)
    kept = ledger.letters.get(letter_id)
    assert (kept.job_id, kept.reason, kept.raw, kept.status) == (None, "malformed", b"\x00\xff{", "open")
    assert (kept.args, kept.kwargs, kept.error) == ([], {}, "not \\x00 JSON \\udcff")
