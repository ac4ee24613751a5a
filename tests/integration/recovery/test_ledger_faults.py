"""What a database can do to a write: lose the connection at the commit, be full, refuse a text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from perdure import LedgerUnavailable, Perdure
from perdure.ledger.engine import Database
from perdure.model.records import Claim, Settlement
from perdure.model.states import Outcome, Transition
from support.inline import run_once
from support.ledgers import claimer, job, run_directly

SUCCESS = Settlement(Transition.SUCCEED, Outcome.SUCCEEDED, result="1")


class LostAfterCommit:
    """Makes the next commit succeed in the database and fail for its caller, as when the connection breaks then."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = 0
        run = database._run

        def lossy(work: Any, *how: Any) -> Any:
            result = run(work, *how)
            if self.times:
                self.times -= 1
                raise OperationalError("COMMIT", {}, Exception("connection lost"), connection_invalidated=True)
            return result

        monkeypatch.setattr(database, "_run", lossy)


def test_commit_in_doubt_is_resolved_by_the_fence(
    app: Perdure, register: Any, claim: Callable[..., Claim], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker_id = register()
    lost = LostAfterCommit(app.ledger.database, monkeypatch)
    job = app.task("work").submit()

    lost.times = 1
    [made] = app.ledger.jobs.claim(claimer(app.ledger, worker=worker_id), 5)
    assert made.fence == 1
    lost.times = 1
    app.ledger.jobs.settle(made, SUCCESS)

    record = app.ledger.jobs.get(job.id)
    assert (record.state, record.attempt, record.fence) == ("succeeded", 1, 1)
    assert [attempt.outcome for attempt in app.ledger.jobs.attempts(job.id)] == ["succeeded"]


def test_a_doubtful_claim_gives_no_job_twice_to_a_child_that_holds_others(
    app: Perdure, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = LostAfterCommit(app.ledger.database, monkeypatch)
    plain, guarded = job(), job(breaker="payments")
    app.ledger.jobs.submit([plain, guarded, job(limit_key="a"), job(limit_key="b")])
    by = claimer(app.ledger)
    found = [app.ledger.jobs.claim(by, 5)]
    lost.times = 1
    found.append(app.ledger.jobs.claim(by, 5, "breaker:payments"))
    limited = [lane for lane in app.ledger.jobs.lanes("normal") if lane.limit_key is not None]
    for lane in limited:
        lost.times = 1
        claims = app.ledger.jobs.claim_within(by, [lane], lambda lanes, _: {lane.name: 1 for lane in lanes})
        found.append(claims or [])
    assert [[claim.limit_key or claim.breaker for claim in claims] for claims in found] == [
        [None],
        ["payments"],
        ["a"],
        ["b"],
    ]
    assert app.jobs.count() == {"running": 4}


def test_submit_whose_commit_is_in_doubt_makes_one_job(app: Perdure, monkeypatch: pytest.MonkeyPatch) -> None:
    app.task("work").submit()
    lost = LostAfterCommit(app.ledger.database, monkeypatch)

    lost.times = 1
    app.task("work").submit()
    lost.times = 1
    app.task("work").options(idempotency_key="k").submit()

    assert app.jobs.count() == {"queued": 3}


def test_full_disk_is_a_clear_error_and_nothing_is_half_written(sqlite_url: str, redis_url: str, tmp_path: Path) -> None:
    app = Perdure(ledger_url=sqlite_url, broker_url=redis_url, home=tmp_path / "home")

    @app.job(name="big")
    def big(text: str) -> None:
        return None

    big.submit("small")
    [(pages,)] = run_directly(app.ledger, "PRAGMA page_count")
    run_directly(app.ledger, f"PRAGMA max_page_count={pages + 2}")

    with pytest.raises(LedgerUnavailable, match="full"):
        big.submit_many([("x" * 5000,)] * 100)
    assert app.jobs.count() == {"queued": 1}

    app.ledger.close()
    assert len(big.submit_many([("x" * 5000,)] * 100)) == 100
    app.close()


def test_decisions_do_not_use_the_worker_s_clock(app: Perdure, monkeypatch: pytest.MonkeyPatch) -> None:
    from perdure import RetryPolicy

    @app.job(name="fails", retry=RetryPolicy(max_retries=3, base=30, max_delay=30, max_elapsed=60))
    def fails() -> None:
        monkeypatch.setattr("time.time", lambda: 4e9)
        raise ValueError("no")

    job = fails.submit()
    run_once(app, job)  # with the skewed clock, 60 s would seem to be over

    assert app.ledger.jobs.get(job.id).state == "retrying"
