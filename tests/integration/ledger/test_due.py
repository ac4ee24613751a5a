"""Jobs whose time has come, and jobs that have no ticket, are taken once each, a page at a time."""

from __future__ import annotations

import itertools

from perdure.ledger import Ledger
from perdure.ledger.records import Settlement, Ticketed
from perdure.states import Outcome, Transition
from support.ledgers import RETRY, at_once, claimed, job, running, submitted
from support.waiting import wait_until

SOON = 0.05


def test_a_job_is_queued_when_its_time_has_come(ledger: Ledger) -> None:
    soon, later = submitted(ledger, 1, delay=SOON), submitted(ledger, 2, delay=3600.0)
    [ticket] = wait_until(lambda: ledger.queue_due(10))
    new = ledger.job(soon)
    assert ticket == Ticketed(soon, "tests.add", "normal", 5, "[1]", "{}", None, None)
    assert (new.state, new.run_at) == ("queued", None)
    assert ledger.job(later).state == "scheduled"
    assert ledger.take_unticketed(10) == []
    assert ledger.queue_due(10) == []
    assert claimed(ledger, soon).queued_at > 0


def test_retries_and_snoozes_become_due_as_well(ledger: Ledger) -> None:
    claims = [running(ledger, n) for n in range(2)]
    ledger.settle(claims[0], Settlement(Transition.RETRY, Outcome.FAILED, delay=SOON))
    ledger.settle(claims[1], Settlement(Transition.SNOOZE, Outcome.SNOOZED, burns=False, delay=SOON))
    later = running(ledger, 3)
    ledger.settle(later, RETRY)
    found: list[Ticketed] = []
    wait_until(lambda: found.extend(ledger.queue_due(10)) or len(found) == 2)
    assert {ticket.id for ticket in found} == {claim.job_id for claim in claims}
    assert ledger.job(later.job_id).state == "retrying"


def test_pages_are_taken_in_the_order_of_their_times(ledger: Ledger) -> None:
    ids = [submitted(ledger, n, delay=SOON + n / 1000) for n in range(5)]
    wait_until(lambda: ledger.count_jobs("state") == {"scheduled": 5} and _all_due(ledger))
    pages = [[ticket.id for ticket in ledger.queue_due(2)] for _ in range(4)]
    assert [sorted(page) for page in pages] == [sorted(ids[:2]), sorted(ids[2:4]), ids[4:], []]


def _all_due(ledger: Ledger) -> bool:
    import time

    records = ledger.jobs(state="scheduled")
    return all(record.run_at is not None and record.run_at.timestamp() < time.time() - 0.01 for record in records)


def test_dispatchers_at_once_take_each_job_once(ledger: Ledger) -> None:
    ledger.submit([job(n, delay=SOON) for n in range(60)])
    wait_until(lambda: _all_due(ledger))
    taken: list[str] = []

    def dispatch() -> list[str]:
        mine = []
        while page := ledger.queue_due(7):
            mine += [ticket.id for ticket in page]
        return mine

    taken = list(itertools.chain(*at_once([dispatch] * 4), dispatch()))
    assert len(taken) == len(set(taken)) == 60


def test_what_settles_to_queued_has_no_ticket_until_one_is_taken(ledger: Ledger) -> None:
    claim = running(ledger)
    ledger.settle(claim, Settlement(Transition.HAND_BACK, Outcome.HANDED_BACK, burns=False))
    assert [ticket.id for ticket in ledger.take_unticketed(10)] == [claim.job_id]
    assert ledger.take_unticketed(10) == []


def test_tickets_that_could_not_be_sent_are_taken_later_the_oldest_first(ledger: Ledger) -> None:
    ids = [submitted(ledger, n) for n in range(5)]
    ledger.untick([])
    assert ledger.take_unticketed(10) == []
    ledger.untick(ids)
    claimed(ledger, ids[0])
    assert sorted(ticket.id for ticket in ledger.take_unticketed(2)) == ids[1:3]
    assert sorted(ticket.id for ticket in ledger.take_unticketed(10)) == ids[3:]


def test_unticking_a_job_that_runs_does_nothing(ledger: Ledger) -> None:
    claim = running(ledger)
    ledger.untick([claim.job_id])
    assert ledger.take_unticketed(10) == []


def test_takers_at_once_take_each_job_once(ledger: Ledger) -> None:
    results = ledger.submit([job(n) for n in range(60)])
    ledger.untick([result.id for result in results])

    def take() -> list[str]:
        mine = []
        while page := ledger.take_unticketed(7):
            mine += [ticket.id for ticket in page]
        return mine

    taken = list(itertools.chain(*at_once([take] * 4), take()))
    assert len(taken) == len(set(taken)) == 60


def test_a_paused_bulkhead_gets_no_tickets_until_it_is_resumed(ledger: Ledger) -> None:
    waiting, elsewhere = submitted(ledger, 1), submitted(ledger, 2, bulkhead="critical")
    ledger.untick([waiting, elsewhere])
    ledger.pause("normal", "ann", "")
    assert [ticket.id for ticket in ledger.take_unticketed(10)] == [elsewhere]
    ledger.resume("normal")
    assert [ticket.id for ticket in ledger.take_unticketed(10)] == [waiting]
