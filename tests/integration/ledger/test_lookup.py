"""A job or a letter is found by how only its id begins or ends, as people type and paste it."""

from __future__ import annotations

import pytest

from perdure.errors import AmbiguousId, DeadLetterNotFound, JobNotFound
from perdure.ledger import Ledger
from perdure.ledger.jobs.lookup import find_job_id, find_letter_id
from support.ledgers import dead, job

FIRST = "01900000-0000-7000-8000-00000000aaaa"
SECOND = "01900000-0000-7000-8000-0000bbbbaaaa"
OTHER = "0190ffff-0000-7000-8000-00000000cccc"


@pytest.fixture
def jobs(ledger: Ledger) -> Ledger:
    ledger.jobs.submit([job(number, id=id_) for number, id_ in enumerate((FIRST, SECOND, OTHER))])
    return ledger


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (FIRST, FIRST),
        (f"  {SECOND.upper()}\n", SECOND),
        ("0190f", OTHER),
        ("0190FFFF-", OTHER),
        ("c", OTHER),
        ("bbbbaaaa", SECOND),
        ("0000aaaa", FIRST),
        (SECOND[:-1], None),
    ],
)
def test_any_part_that_only_one_begins_or_ends_with(jobs: Ledger, text: str, found: str | None) -> None:
    assert jobs.read(lambda c: find_job_id(c, text)) == (found or SECOND)


@pytest.mark.parametrize("text", ["", " ", "none", "%", "0190%", "_", "d", "0190g", "a" * 99, "'; --", "é", "\x00"])
def test_what_no_id_begins_or_ends_with_is_not_found(jobs: Ledger, text: str) -> None:
    with pytest.raises(JobNotFound, match=r"in the ledger\. List them: perdure jobs list"):
        jobs.read(lambda c: find_job_id(c, text))
    with pytest.raises(DeadLetterNotFound, match="List them: perdure dead list"):
        jobs.read(lambda c: find_letter_id(c, text))


@pytest.mark.parametrize("text", ["0190", "aaaa", "01900000-0000-7000-8000-0000"])
def test_a_part_that_several_have_is_refused_and_they_are_named(jobs: Ledger, text: str) -> None:
    with pytest.raises(AmbiguousId, match="several jobs begin or end so") as refused:
        jobs.read(lambda c: find_job_id(c, text))
    assert {FIRST, SECOND} <= set(refused.value.ids)
    assert FIRST in str(refused.value)


def test_letters_are_found_so_as_well(ledger: Ledger) -> None:
    claim, letter = dead(ledger)
    for part in (letter, letter[:-1], letter[-12:]):
        assert ledger.read(lambda c, part=part: find_letter_id(c, part)) == letter
    assert ledger.read(lambda c: find_job_id(c, claim.job_id[-12:])) == claim.job_id


def test_an_exact_id_wins_whatever_it_looks_like(ledger: Ledger) -> None:
    """Letters of another environment keep the ids that they had there."""
    ledger.jobs.submit([job(1, id="nightly"), job(2, id="nightly-2")])
    assert ledger.read(lambda c: find_job_id(c, "nightly")) == "nightly"
