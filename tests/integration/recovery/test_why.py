"""``perdure why``: from the ledger's facts to words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from perdure import Perdure
from perdure.model.records import Claim, Settlement
from perdure.model.states import Outcome, Transition


def codes(app: Perdure, job_id: str) -> list[str]:
    return [reason.code for reason in app.jobs.why(job_id)]


def test_each_state_has_its_reason(app: Perdure, register: Any, claim: Callable[..., Claim]) -> None:
    task = app.task("work")
    first = task.submit()
    assert codes(app, first.id) == ["no_worker"]
    app.ledger.workers.set_draining(register())
    assert codes(app, first.id) == ["no_worker"]
    worker_id = register()
    assert codes(app, first.id) == ["next"]
    second = task.submit()
    assert codes(app, second.id) == ["waiting"]
    assert codes(app, task.options(delay=60).submit().id) == ["scheduled"]

    app.bulkheads.pause("normal", by="ann", reason="deploy")
    assert codes(app, first.id) == ["paused"]
    assert "ann (deploy)" in app.jobs.why(first.id)[0].text
    app.bulkheads.resume("normal")
    assert codes(app, first.id) == ["next"]

    assert app.ledger.jobs.note_unknown("normal", {"another"}, 10) == 2
    assert codes(app, first.id) == ["unknown_task"]
    running = claim(worker_id)
    assert codes(app, running.job_id) == ["running"]
    assert codes(app, first.id) == ["busy"]  # whoever met it last knew its task
    app.ledger.jobs.settle(running, Settlement(Transition.RETRY, Outcome.FAILED, delay=60.0, error="boom"))
    assert codes(app, running.job_id) == ["retrying"]
    assert "boom" in app.jobs.why(running.job_id)[0].text
    app.ledger.jobs.cancel(running.job_id, "no more")
    assert codes(app, running.job_id) == ["cancelled"]
