"""Reconciliation with a long queue: nothing is sent twice, everything that was lost is, and a look costs a few rows."""

from __future__ import annotations

import redis
from perdure_workers.duties.reconcile import SEPARATOR, Reconcile
from sqlalchemy import func, select, text, update

from perdure import Perdure
from perdure.ledger.now import now
from perdure.ledger.schema import jobs
from perdure_workers.duties import reconcile
from support.waiting import wait_until

#: PostgreSQL takes a minute to write as many.
QUEUED = {"sqlite": 100_000, "postgresql": 20_000}
FILL = """
INSERT INTO jobs (id, task, bulkhead, state, priority, args, kwargs, payload_digest, created_at)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :jobs)
SELECT 'job-' || i, 'nap', 'normal', 'queued', 5, '[]', '{}', 'd', 0 FROM n
"""
KEY = f"perdure.normal{SEPARATOR}5"


def fill(app: Perdure, client: redis.Redis) -> int:
    """Write queued jobs whose tickets were sent a while ago, and as many entries in the broker's queue."""
    queued = QUEUED[app.ledger.database.dialect]
    with app.ledger.database.engine.begin() as connection:
        connection.execute(text(FILL), {"jobs": queued})
        connection.execute(update(jobs).values(queued_at=now() - 600, ticketed_at=now() - 600))
    with client.pipeline(transaction=False) as pipe:
        for start in range(0, queued, 10_000):
            pipe.rpush(KEY, *range(start, start + 10_000))
        pipe.execute()
    return queued


def test_a_long_queue(app: Perdure) -> None:
    client = redis.Redis.from_url(app.settings.effective_broker_url)
    queued = fill(app, client)
    duty = Reconcile(app)
    assert duty.run_once() == 0  # the first look begins the epoch; nothing is lost
    assert client.llen(KEY) == queued

    client.delete(KEY)  # one queue is lost, and the epoch is not
    sent = 0
    while page := duty.run_once():
        assert page <= reconcile.PAGE
        sent += page
        if sent >= 5 * reconcile.PAGE:
            break
    assert sent >= reconcile.PAGE
    assert client.llen(KEY) == sent

    client.flushall()
    assert duty.run_once() == 0  # a new epoch: no queued job has a ticket any more
    with app.ledger.database.engine.connect() as connection:
        ticketed = select(func.count()).select_from(jobs).where(jobs.c.ticketed_at.is_not(None))
        assert connection.execute(ticketed).scalar_one() == 0
    page = app.ledger.take_unticketed(500)
    assert len(page) == 500
    wait_until(lambda: app.submitter.send_tickets(page) == set(), timeout=30)
    assert client.llen(KEY) == 500
