"""What ended in a minute: counted by bulkhead and task, with percentiles of how long it ran."""

from __future__ import annotations

import random
from statistics import quantiles

import pytest
from sqlalchemy import insert

from perdure.ledger import Ledger
from perdure.ledger.jobs.history import BOUNDS, added, ended_between, percentile
from perdure.ledger.schema import attempts
from support.ledgers import submitted


def write(ledger: Ledger, job_id: str, ends: list[tuple[str, float, float]]) -> None:
    rows = [
        {"job_id": job_id, "number": number, "outcome": outcome, "started_at": end - took, "finished_at": end}
        for number, (outcome, end, took) in enumerate(ends)
    ]
    with ledger.transaction() as connection:
        connection.execute(insert(attempts), rows)


def test_what_ended_is_counted_by_bulkhead_and_task(ledger: Ledger) -> None:
    one, other = submitted(ledger, 1), submitted(ledger, 2, task="tests.other", bulkhead="critical")
    write(ledger, one, [("succeeded", 60.0, 1.0), ("failed", 119.9, 2.0), ("crashed", 61.0, 2.0), ("snoozed", 70.0, 5.0)])
    write(ledger, other, [("succeeded", 59.9, 1.0), ("timeout", 100.0, 30.0), ("succeeded", 120.0, 1.0)])
    found = {(each.bulkhead, each.task): each for each in ledger.read(lambda c: ended_between(c, 60.0, 120.0))}
    assert set(found) == {("normal", "tests.add"), ("critical", "tests.other")}
    mine, others = found["normal", "tests.add"], found["critical", "tests.other"]
    assert (mine.succeeded, mine.failed, sum(mine.runs.values())) == (1, 2, 3)
    assert (others.succeeded, others.failed) == (0, 1)
    assert ledger.read(lambda c: ended_between(c, 0.0, 59.0)) == []


@pytest.mark.parametrize("part", [0.5, 0.95])
def test_percentiles_are_right_to_the_bucket(ledger: Ledger, part: float) -> None:
    dice = random.Random(7)
    took = [dice.lognormvariate(0, 2) for _ in range(400)]
    write(ledger, submitted(ledger, 1), [("succeeded", 1000.0, seconds) for seconds in took])
    [ended] = ledger.read(lambda c: ended_between(c, 999.0, 1001.0))
    exact = quantiles(took, n=100, method="inclusive")[round(part * 100) - 1]
    about = percentile(ended.runs, part)
    assert about is not None
    assert exact / 1.5 <= about <= exact * 1.5


def test_buckets_add_up_and_have_their_edges() -> None:
    assert percentile({}, 0.5) is None
    assert percentile({0: 10}, 0.5) == pytest.approx(0.0005)
    assert percentile({len(BOUNDS): 1}, 0.5) == BOUNDS[-1]
    assert added([{1: 2, 3: 1}, {}, {3: 4}]) == {1: 2, 3: 5}
    slow = percentile({4: 90, 30: 10}, 0.95)
    assert slow is not None
    assert BOUNDS[29] <= slow <= BOUNDS[30]
