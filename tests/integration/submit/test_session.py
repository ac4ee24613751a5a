"""Submitting in the caller's transaction: the job exists when that is committed, and rings then."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from perdure import IdempotencyConflict, Perdure, Task
from perdure.errors import JobNotFound
from perdure.model.events import JobEvent
from perdure.system.ports import free_port
from support.submits import bells


def test_a_job_is_committed_with_the_session_and_then_rings(app: Perdure, add: Task[..., int], session: Session) -> None:
    handle = add.options(session=session).submit(1)
    assert bells(app) == {}
    with pytest.raises(JobNotFound):
        app.jobs.get(handle.id)
    session.commit()
    assert handle.state == "queued"
    assert bells(app) == {"normal": 1}


def test_a_rollback_takes_the_job_back(app: Perdure, add: Task[..., int], session: Session) -> None:
    events: list[JobEvent] = []
    app.events.subscribe(events.append)
    add.options(session=session).submit(1)
    session.rollback()
    session.execute(text("SELECT 1"))
    session.commit()
    assert app.jobs.count() == {}
    assert bells(app) == {}
    assert events == []


def test_closing_the_session_takes_the_job_back(app: Perdure, add: Task[..., int], session: Session) -> None:
    add.options(session=session).submit(1)
    session.close()
    session.execute(text("SELECT 1"))
    session.commit()
    assert app.jobs.count() == {}
    assert bells(app) == {}


def test_several_jobs_in_one_session(app: Perdure, add: Task[..., int], session: Session) -> None:
    events: list[JobEvent] = []
    app.events.subscribe(events.append)
    transactional = add.options(session=session)
    handles = [transactional.submit(1), transactional.submit(2), *transactional.submit_many([(3,), (4,)])]
    session.commit()
    assert bells(app) == {"normal": 4}
    assert [event.job_id for event in events] == [handle.id for handle in handles]


def test_a_session_can_be_used_again_and_rings_each_time(app: Perdure, add: Task[..., int], session: Session) -> None:
    for number in range(1, 6):
        add.options(session=session).submit(number)
        session.commit()
        session.execute(text("SELECT 1"))
        session.commit()
        assert bells(app) == {"normal": number}


def test_listeners_do_not_pile_up(app: Perdure, add: Task[..., int], session: Session) -> None:
    def listeners() -> int:
        dispatch = session.dispatch
        names = ("after_commit", "after_rollback", "after_soft_rollback", "after_transaction_end")
        return sum(len(list(getattr(dispatch, name))) for name in names)

    add.options(session=session).submit(0)
    session.commit()
    once = listeners()
    for number in range(5):
        add.options(session=session).submit(number)
        session.commit() if number % 2 else session.rollback()
    assert listeners() == once


def test_savepoints(app: Perdure, add: Task[..., int], session: Session) -> None:
    transactional = add.options(session=session)
    before = transactional.submit(1)
    with session.begin_nested():
        kept = transactional.submit(2)
    assert bells(app) == {}
    with session.begin_nested() as savepoint:
        transactional.submit(3)
        with session.begin_nested():
            transactional.submit(4)
        savepoint.rollback()
    after = transactional.submit(5)
    assert bells(app) == {}
    session.commit()
    assert bells(app) == {"normal": 3}
    assert {handle.id for handle in app.jobs.list()} == {before.id, kept.id, after.id}


def test_a_rollback_after_a_savepoint_takes_everything_back(app: Perdure, add: Task[..., int], session: Session) -> None:
    with session.begin_nested():
        add.options(session=session).submit(1)
    session.rollback()
    assert bells(app) == {}
    assert app.jobs.count() == {}


def test_keys_in_a_session(app: Perdure, add: Task[..., int], session: Session) -> None:
    first = add.options(idempotency_key="k", session=session).submit(1)
    again = add.options(idempotency_key="k", session=session).submit(1)
    with pytest.raises(IdempotencyConflict):
        add.options(idempotency_key="k", session=session).submit(2)
    session.commit()
    assert (again.id, again.deduplicated) == (first.id, True)
    assert bells(app) == {"normal": 1}


def test_jobs_for_later_in_a_session(app: Perdure, add: Task[..., int], session: Session) -> None:
    handle = add.options(delay=60, session=session).submit(1)
    session.commit()
    assert (handle.state, bells(app)) == ("scheduled", {})


def test_a_scoped_session(app: Perdure, add: Task[..., int]) -> None:
    engine = create_engine(app.settings.effective_ledger_url)
    factory = sessionmaker(engine)
    scoped = scoped_session(factory)
    add.options(session=scoped).submit(1)
    with factory() as other:
        other.execute(text("SELECT 1"))
        other.commit()
    assert bells(app) == {}
    scoped.commit()
    assert bells(app) == {"normal": 1}
    scoped.remove()
    engine.dispose()


def test_the_broker_may_be_down_when_the_session_commits(
    migrated_url: str, tmp_path: Path, clean_environment: None
) -> None:
    app = Perdure(ledger_url=migrated_url, broker_url=f"redis://127.0.0.1:{free_port()}/0", home=tmp_path)
    add = app.job(name="tests.add")(lambda: None)
    with Session(create_engine(app.settings.effective_ledger_url)) as session:
        handle = add.options(session=session).submit()
        session.commit()
    assert handle.state == "queued"
    app.close()
