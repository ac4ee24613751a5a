"""Lists: filters, keyset pages, tags, counts."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from perdure.errors import JobNotFound
from perdure.ledger import Ledger
from perdure.model.states import JobState
from support.ledgers import SUCCEED, dead, job, running, submitted
from support.waiting import wait_until


def ids(ledger: Ledger, **filters: Any) -> list[str]:
    return [record.id for record in ledger.jobs.listing(**filters)]


def test_an_unknown_job_is_named(ledger: Ledger) -> None:
    with pytest.raises(JobNotFound, match=r"no job 'nobody' in the ledger. List them: perdure jobs list"):
        ledger.jobs.get("nobody")
    assert ledger.jobs.attempts("nobody") == []


def test_filters(ledger: Ledger) -> None:
    plain = submitted(ledger, 1)
    critical = submitted(ledger, 2, bulkhead="critical", tags={"tenant": "a"})
    other = submitted(ledger, 3, task="tests.other", tags={"tenant": "a", "run": "1"})
    done = running(ledger, 4).job_id
    assert ids(ledger) == [done, other, critical, plain]
    assert ids(ledger, state=JobState.RUNNING) == [done]
    assert ids(ledger, state=JobState.QUEUED) == [other, critical, plain]
    assert ids(ledger, task="tests.other") == [other]
    assert ids(ledger, task="tests.add", state=JobState.QUEUED) == [critical, plain]
    assert ids(ledger, bulkhead="critical") == [critical]
    assert ids(ledger, tag=("tenant", "a")) == [other, critical]
    assert ids(ledger, tag=("tenant", "a"), bulkhead="critical", state=JobState.QUEUED) == [critical]
    assert ids(ledger, tag=("tenant", "b")) == []
    assert ids(ledger, tag=("run", "a")) == []


def test_since_is_exact(ledger: Ledger) -> None:
    first = submitted(ledger, 1)
    time.sleep(0.005)  # SQLite's clock has milliseconds
    second, third = submitted(ledger, 2), submitted(ledger, 3)
    moment = ledger.jobs.get(second).created_at
    assert moment is not None
    assert ids(ledger, since=moment.timestamp()) == [third, second]
    assert ids(ledger, since=0.0) == [third, second, first]
    assert ids(ledger, since=time.time() + 60) == []


def test_until_is_exact_and_counts_take_the_same_filters(ledger: Ledger) -> None:
    first = submitted(ledger, 1, tags={"tenant": "a"})
    time.sleep(0.005)
    second = submitted(ledger, 2, bulkhead="critical")
    later = submitted(ledger, 3, task="tests.other", delay=3600.0, tags={"tenant": "a"})
    due = submitted(ledger, 4, delay=0.001)
    wait_until(lambda: ledger.jobs.get(due).state == "queued")
    moment = ledger.jobs.get(second).created_at
    assert moment is not None
    assert ids(ledger, until=moment.timestamp()) == [first]
    assert ids(ledger, since=moment.timestamp(), until=time.time() + 60) == [due, later, second]
    for which in (
        {},
        {"state": JobState.QUEUED},
        {"state": JobState.SCHEDULED},
        {"state": JobState.DEAD},
        {"task": "tests.other"},
        {"tag": ("tenant", "a"), "task": "tests.add"},
        {"tag": ("tenant", "a"), "state": JobState.SCHEDULED},
        {"bulkhead": "critical", "since": 0.0},
        {"until": moment.timestamp()},
    ):
        listed = ledger.jobs.listing(**which)
        for by in ("state", "task", "bulkhead"):
            assert ledger.jobs.count(by, **which) == Counter(str(getattr(job, by)) for job in listed), (by, which)


def test_since_finds_what_a_submitter_with_a_slow_clock_made(ledger: Ledger) -> None:
    """Ids carry the submitter's time, `created_at` is the database's."""
    slow = "0189d2f0" + submitted(ledger, 1)[8:]  # as if made in 2023
    ledger.jobs.submit([job(2, id=_older(submitted(ledger, 3), minutes=30))])
    assert len(ids(ledger, since=time.time() - 60)) == 3
    assert slow not in ids(ledger)


def _older(job_id: str, minutes: int) -> str:
    milliseconds = int(job_id[:8] + job_id[9:13], 16) - minutes * 60_000
    text = f"{milliseconds:012x}"
    return f"{text[:8]}-{text[8:]}{job_id[13:]}"


def test_pages_by_the_last_id_cover_everything_once(ledger: Ledger) -> None:
    expected = [submitted(ledger, n) for n in range(25)][::-1]
    seen: list[str] = []
    while (page := ids(ledger, limit=10, after=seen[-1] if seen else None)) and len(seen) <= len(expected):
        seen += page
        submitted(ledger, "new")  # what comes meanwhile does not shift the pages
    assert seen == expected


def test_pages_with_filters(ledger: Ledger) -> None:
    expected = [submitted(ledger, n, tags={"a": "b"}) for n in range(5)][::-1]
    for n in range(5):
        submitted(ledger, n)
    assert ids(ledger, tag=("a", "b"), limit=2) == expected[:2]
    assert ids(ledger, tag=("a", "b"), limit=2, after=expected[1]) == expected[2:4]
    assert ids(ledger, tag=("a", "b"), limit=2, after=expected[3]) == expected[4:]


def test_counts(ledger: Ledger) -> None:
    assert ledger.jobs.count("state") == {}
    ledger.jobs.submit([job(1), job(2, task="tests.other"), job(3, bulkhead="critical", delay=60.0)])
    ledger.jobs.settle(running(ledger), SUCCEED)
    dead(ledger)
    assert ledger.jobs.count("state") == {"queued": 2, "scheduled": 1, "succeeded": 1, "dead": 1}
    assert ledger.jobs.count("task") == {"tests.add": 4, "tests.other": 1}
    assert ledger.jobs.count("bulkhead") == {"normal": 4, "critical": 1}
