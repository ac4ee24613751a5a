"""What a bulkhead's load has been lately."""

from __future__ import annotations

from perdure.ledger import Ledger
from support.ledgers import RETRY, SUCCEED, running, submitted


def test_a_load_is_that_of_one_bulkhead_and_of_attempts_that_ended_by_themselves(ledger: Ledger) -> None:
    assert ledger.load_of("normal", 3600.0).service == ()
    for settlement in (SUCCEED, SUCCEED, SUCCEED, RETRY):
        ledger.jobs.settle(running(ledger), settlement)
    submitted(ledger, bulkhead="critical")
    load = ledger.load_of("normal", 3600.0)
    assert load.failures == 0.25
    assert len(load.service) == 4
    assert all(0 < seconds < 60 for seconds in load.service)
    assert load.rate > 0
    assert ledger.load_of("critical", 3600.0).service == ()
