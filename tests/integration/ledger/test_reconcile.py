"""Finding lost tickets without reading the broker."""

from __future__ import annotations

from dataclasses import replace

from perdure.ledger import Ledger
from support.ledgers import at_once, claimed, job, submitted
from support.waiting import wait_until


def test_no_levels_without_queued_jobs(ledger: Ledger) -> None:
    assert ledger.levels() == []
    claimed(ledger, submitted(ledger))
    submitted(ledger, delay=60.0)
    assert ledger.levels() == []


def test_there_is_one_level_for_each_bulkhead_and_priority(ledger: Ledger) -> None:
    first = submitted(ledger, 1)
    ledger.submit([job(2), job(3, priority=0), job(4, priority=9), job(5, bulkhead="critical")])
    levels = {(level.bulkhead, level.priority): level for level in ledger.levels()}
    assert set(levels) == {("critical", 5), ("normal", 0), ("normal", 5), ("normal", 9)}
    level = levels["normal", 5]
    assert level.oldest <= level.now
    assert level.served is None
    claimed(ledger, first)
    level = {(level.bulkhead, level.priority): level for level in ledger.levels()}["normal", 5]
    assert level.served is not None
    assert level.served <= level.oldest


def test_served_is_the_newest_ticket_among_running_jobs_of_the_level(ledger: Ledger) -> None:
    claimed(ledger, submitted(ledger, 0))
    old = submitted(ledger, 1)
    sent = ledger.clock()
    wait_until(lambda: ledger.clock() > sent)  # SQLite's clock has milliseconds
    newer, other = submitted(ledger, 2), submitted(ledger, 3, priority=1)
    claimed(ledger, newer)
    claimed(ledger, other)
    [level] = ledger.levels()
    assert level.served is not None
    assert level.served > level.oldest  # the newer job was served first: the old one's ticket is lost
    assert [ticket.id for ticket in ledger.reticket(level, level.served, 10)] == [old]


def test_jobs_without_a_ticket_make_no_level(ledger: Ledger) -> None:
    ledger.untick([submitted(ledger), submitted(ledger, bulkhead="critical")])
    assert ledger.levels() == []
    submitted(ledger, bulkhead="background")
    assert [level.bulkhead for level in ledger.levels()] == ["background"]


def test_a_paused_bulkhead_is_left_alone(ledger: Ledger) -> None:
    submitted(ledger)
    submitted(ledger, bulkhead="critical")
    ledger.pause("normal", "ann", "")
    assert [level.bulkhead for level in ledger.levels()] == ["critical"]


def test_reticketing_takes_the_oldest_of_the_level_a_page_at_a_time(ledger: Ledger) -> None:
    ids = [submitted(ledger, n) for n in range(5)]
    submitted(ledger, 6, priority=1)
    [_, level] = sorted(ledger.levels(), key=lambda level: level.priority)
    assert ledger.reticket(level, level.oldest, 10) == []
    assert sorted(ticket.id for ticket in ledger.reticket(level, level.now, 2)) == ids[:2]
    assert sorted(ticket.id for ticket in ledger.reticket(level, level.now, 10)) == ids[2:]
    assert ledger.reticket(level, level.now, 10) == []
    assert ledger.reticket(replace(level, bulkhead="critical"), level.now, 10) == []


def test_supervisors_at_once_reticket_each_job_once(ledger: Ledger) -> None:
    ledger.submit([job(n) for n in range(40)])
    [level] = ledger.levels()
    pages = at_once([lambda: ledger.reticket(level, level.now, 100)] * 4)
    assert sum(len(page) for page in pages) == 40


def test_a_new_epoch_forgets_all_tickets_and_is_begun_once(ledger: Ledger) -> None:
    ids = [submitted(ledger, n) for n in range(3)]
    assert ledger.broker_epoch() is None
    assert ledger.begin_broker_epoch(None, "e-1")
    assert ledger.broker_epoch() == "e-1"
    assert ledger.take_unticketed(10) == []  # before the first epoch nothing was lost: these tickets are in the broker
    assert not ledger.begin_broker_epoch(None, "e-2")
    assert not ledger.begin_broker_epoch("e-0", "e-2")
    assert ledger.take_unticketed(10) == []
    assert sorted(at_once([lambda n=n: ledger.begin_broker_epoch("e-1", f"e-{n}") for n in (2, 3, 4)])) == [  # type: ignore[misc]
        False,
        False,
        True,
    ]
    assert sorted(ticket.id for ticket in ledger.take_unticketed(10)) == ids


def test_supervisors_that_start_together_begin_one_first_epoch(ledger: Ledger) -> None:
    begun = at_once([lambda n=n: ledger.begin_broker_epoch(None, f"e-{n}") for n in range(4)])  # type: ignore[misc]
    assert sorted(begun) == [False, False, False, True]
    assert ledger.broker_epoch() == f"e-{begun.index(True)}"
