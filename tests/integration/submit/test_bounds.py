"""Bulkheads that are full, and what happens to submits while the broker or the ledger is away."""

from __future__ import annotations

import logging
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from perdure import BulkheadFull, LedgerUnavailable, Perdure, Task
from perdure.settings.settings import BulkheadSettings
from perdure.system.ports import free_port
from perdure_workers.embedded.redis import RedisServer
from support.ledgers import claimer, try_claim
from support.submits import bells
from support.waiting import wait_until


def bounded(app: Perdure, **bounds: Any) -> None:
    app.settings.bulkheads["normal"] = BulkheadSettings(**bounds)


def test_a_full_bulkhead_refuses(app: Perdure, add: Task[..., int]) -> None:
    bounded(app, max_depth=2)
    first = add.submit(1)
    add.submit(2)
    with pytest.raises(BulkheadFull, match="bulkhead 'normal' has 2 waiting jobs, its max_depth is 2"):
        add.submit(3)
    assert add.options(bulkhead="critical").submit(3).state == "queued"
    assert try_claim(app.ledger, first.id)
    assert add.submit(3).state == "queued"
    assert app.jobs.count("bulkhead") == {"normal": 3, "critical": 1}


def test_many_do_not_overfill_a_bulkhead(app: Perdure, add: Task[..., int]) -> None:
    bounded(app, max_depth=5)
    with pytest.raises(BulkheadFull, match="5 jobs were submitted before"):
        add.submit_many((n,) for n in range(12))
    assert app.jobs.count() == {"queued": 5}


def test_a_submit_can_wait_for_room(app: Perdure, add: Task[..., int]) -> None:
    bounded(app, max_depth=1, overflow="wait", overflow_timeout=20)
    first = add.submit(1)

    timer = Timer(0.1, lambda: try_claim(app.ledger, first.id))
    timer.start()
    assert add.submit(2).state == "queued"
    timer.join()


def test_waiting_for_room_has_an_end(app: Perdure, add: Task[..., int]) -> None:
    bounded(app, max_depth=1, overflow="wait", overflow_timeout=0.1)
    add.submit(1)
    with pytest.raises(BulkheadFull):
        add.submit(2)
    assert app.jobs.count() == {"queued": 1}


def test_submits_are_accepted_while_the_broker_is_down(
    migrated_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, clean_environment: None
) -> None:
    with RedisServer(tmp_path / "redis", die_with_parent=True) as server:
        app = Perdure(ledger_url=migrated_url, broker_url=server.url, home=tmp_path)

        @app.job(name="tests.add")
        def add(a: int) -> int:
            return a

        add.submit(0)
        assert bells(app) == {"normal": 1}
        server.stop()
        caplog.clear()
        with caplog.at_level(logging.WARNING, "perdure"):
            handles = [add.submit(1), add.submit(2), *add.submit_many([(3,), (4,)])]
        assert [handle.state for handle in handles] == ["queued"] * 4
        assert sum("bells: Redis failed" in record.getMessage() for record in caplog.records) == 1
        assert len(app.ledger.jobs.claim(claimer(app.ledger), 9)) == 5  # who looks finds them; nothing has to be sent again
        server.start()
        wait_until(lambda: add.submit(5) and bells(app), timeout=20)
        app.close()


def test_without_a_ledger_no_bell_is_rung(redis_url: str, tmp_path: Path, clean_environment: None) -> None:
    url = f"postgresql://ann:s3cret@127.0.0.1:{free_port()}/shop"
    app = Perdure(ledger_url=url, broker_url=redis_url, home=tmp_path)

    @app.job
    def add(a: int) -> int:
        return a

    for submit in (lambda: add.submit(1), lambda: add.submit_many([(1,), (2,)]), lambda: app.jobs.get("x")):
        with pytest.raises(LedgerUnavailable, match="ledger postgresql"):
            submit()
    assert bells(app) == {}
    app.close()
