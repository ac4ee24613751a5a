"""Pruning deletes what is old, keeps what is needed, and works in small batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update

from perdure import Perdure
from perdure.ledger.jobs import prune
from perdure.ledger.schema import dead_letter_audit, dead_letters, jobs, worker_events, workers
from perdure.model.records import Claim, Death, Settlement
from perdure.model.states import DeadReason, Outcome, Transition
from perdure_workers.supervisor import maintenance

SUCCESS = Settlement(Transition.SUCCEED, Outcome.SUCCEEDED, result="1")
DEATH = Settlement(Transition.DIE, Outcome.FAILED, error="e", death=Death(DeadReason.EXHAUSTED, "f"))
YEAR = 365 * 86400.0


def age(app: Perdure) -> None:
    """Make everything that is there a year older."""

    def work(connection: Any) -> None:
        connection.execute(update(jobs).values(finished_at=jobs.c.finished_at - YEAR))
        connection.execute(update(dead_letters).values(created_at=dead_letters.c.created_at - YEAR))
        connection.execute(update(dead_letter_audit).values(at=dead_letter_audit.c.at - YEAR))
        connection.execute(update(workers).values(state_changed_at=workers.c.state_changed_at - YEAR))
        connection.execute(update(worker_events).values(at=worker_events.c.at - YEAR))

    app.ledger.database.run(work)


def test_old_rows_go_and_needed_ones_stay(
    app: Perdure, register: Any, claim: Callable[..., Claim], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "JOBS_PAGE", {"sqlite": 2, "postgresql": 2})
    monkeypatch.setattr(prune, "CLOCK_SKEW", 2 * YEAR)  # the jobs' ids say that they were made just now
    worker_id = register()
    for number in range(5):
        app.ledger.jobs.settle(claim(worker_id, tags={"n": str(number)}), SUCCESS)
    keyed = claim(worker_id, idempotency_key="still protects")
    app.ledger.jobs.settle(keyed, SUCCESS)
    open_dead, resolved_dead, old_dead = claim(worker_id), claim(worker_id), claim(worker_id)
    app.ledger.jobs.settle(open_dead, DEATH)
    letter = app.ledger.jobs.settle(resolved_dead, DEATH)
    just_now = app.ledger.jobs.settle(old_dead, DEATH)
    app.dead_letters.discard(str(letter), reason="looked at", by="test")
    waiting, running = app.task("work").submit(), claim(worker_id)
    ended = register("ended")
    app.ledger.workers.change_state(ended, "gone", "test")
    age(app)
    app.dead_letters.discard(str(just_now), reason="by mistake", by="test")
    ended_lately = register("ended lately")
    app.ledger.workers.change_state(ended_lately, "gone", "test")
    young = claim(worker_id)
    app.ledger.jobs.settle(young, SUCCESS)
    batches: list[int] = []

    deleted = maintenance.prune(app, between=lambda: batches.append(1))

    assert deleted["succeeded"] == 5
    assert (deleted["dead"], deleted["dead_letters"]) == (2, 1)
    assert app.dead_letters.reopen(str(just_now)).status == "open"  # there is time to take a discard back
    assert len(batches) >= 5
    left = {handle.id for handle in app.jobs.list()}
    assert left == {keyed.job_id, open_dead.job_id, waiting.id, running.job_id, young.job_id}
    assert {record.id for record in app.workers.list(all_states=True)} == {worker_id, ended_lately}
    assert {event.worker_id for event in app.workers.events()} == {ended_lately}
    assert app.ledger.jobs.attempts(resolved_dead.job_id) == []
    assert not any(maintenance.prune(app).values())
