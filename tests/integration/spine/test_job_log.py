"""What jobs say by ``ctx.log`` is kept with them: bounded, without secrets, and at no cost to those that say nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import pytest
from msgspec.structs import replace
from sqlalchemy import event, select

from perdure import JobContext, JobHandle, Perdure, Secret
from perdure.ledger.schema import job_logs
from perdure.model.job_log import Chunk, LogBounds, Said
from perdure.model.states import JobState
from perdure.stores.encryption.cipher import KeyRing
from perdure_workers.recovery.incarnation import Incarnation
from perdure_workers.shared.shared import Shared
from perdure_workers.shared.wakeups import Wakeups
from perdure_workers.worker import log_keeper
from perdure_workers.worker.shift import Shift
from support.ledgers import LOSE, claimed
from support.waiting import wait_until

SECRET = "hunter2-4711"


@pytest.fixture(params=[False, True], ids=["plain", "sealed"])
def either_app(migrated_url: str, redis_url: str, request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Perdure]:
    keys = KeyRing.generate("k1") if request.param else None
    app = Perdure(ledger_url=migrated_url, broker_url=redis_url, home=tmp_path / "home", encryption_keys=keys)
    yield app
    app.close()


def serve(app: Perdure, size: int = 10) -> Callable[[], None]:
    """Return what runs all that waits, as a worker's child does."""
    shift = Shift(app, Incarnation.new("w", "normal", 1), Shared(Wakeups(1)), 0)
    shift._size._most = size
    shift._keeper.start()
    return shift._serve


def texts(job: JobHandle[Any]) -> list[str]:
    return [line.text for line in job.log()]


@contextmanager
def statements(app: Perdure) -> Iterator[list[str]]:
    """Yield the statements that the ledger runs in a block."""
    said: list[str] = []

    def listen(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        said.append(statement)

    event.listen(app.ledger.database.engine, "before_cursor_execute", listen)
    try:
        yield said
    finally:
        event.remove(app.ledger.database.engine, "before_cursor_execute", listen)


def test_what_a_job_says_is_kept_without_its_secrets(either_app: Perdure) -> None:
    app = either_app

    @app.job(name="pay", retry="none")
    def pay(ctx: JobContext, card: Annotated[str, Secret]) -> None:
        ctx.log.info("charging %s", card)
        ctx.log.warning("nul \x00 and lone \ud800")
        raise ValueError("refused")

    job = pay.submit(SECRET)
    serve(app)()
    first, second = job.log()
    assert (first.fence, first.attempt, first.number, first.level, first.text) == (1, 1, 1, "INFO", "charging ***")
    assert (second.number, second.level, second.text) == (2, "WARNING", "nul \\x00 and lone \\ud800")
    attempt = job.attempts()[0]
    assert attempt.started_at is not None
    assert attempt.finished_at is not None
    assert attempt.started_at.timestamp() - 1 <= first.at.timestamp() <= attempt.finished_at.timestamp() + 1
    stored = app.ledger.read(lambda c: c.execute(select(job_logs.c.data)).scalars().all())
    assert SECRET not in str(stored)
    assert ("charging" in str(stored)) != app.ledger.vault.seals
    [letter] = app.dead_letters.list()
    assert [line.text for line in app.dead_letters.show(letter.id).log] == texts(job)


def test_jobs_that_say_nothing_cost_no_statement_and_a_slice_of_others_one(app: Perdure) -> None:
    @app.job(name="talk")
    def talk(ctx: JobContext, lines: int) -> None:
        for number in range(lines):
            ctx.log.info("line %d", number)

    run = serve(app)
    for lines in (0, 3):
        jobs = talk.submit_many([(lines,) for _ in range(8)])
        with statements(app) as seen:
            run()
        settled = [statement for statement in seen if "INSERT INTO perdure_attempts" in statement]
        written = [statement for statement in seen if "perdure_job_logs" in statement]
        assert len(written) == (len(settled) if lines else 0)
        assert [texts(job) for job in jobs] == [[f"line {number}" for number in range(lines)]] * 8


def test_the_newest_lines_of_all_attempts_are_kept(migrated_url: str, redis_url: str, tmp_path: Any) -> None:
    app = Perdure(ledger_url=migrated_url, broker_url=redis_url, home=tmp_path / "home", job_log_lines=5)

    @app.job(name="talk")
    def talk(ctx: JobContext, lines: int) -> None:
        for number in range(1, lines + 1):
            ctx.log.info("%d.%d", ctx.fence, number)
        if ctx.fence < 4:
            from perdure import Snooze

            raise Snooze(0.001)

    job = talk.submit(3)
    run = serve(app)
    wait_until(lambda: run() or job.state.is_final)  # type: ignore[func-returns-value]
    assert texts(job) == ["3.1", "3.2", "3.3", "4.1", "4.2", "4.3"]  # whole rows, so at most one attempt's too many
    app.close()


def test_a_long_job_s_lines_are_written_while_it_runs(app: Perdure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_keeper, "EVERY", 0.01)
    go_on, said = threading.Event(), threading.Event()

    @app.job(name="long")
    def long(ctx: JobContext) -> None:
        ctx.log.info("begun")
        said.set()
        assert go_on.wait(20)
        ctx.log.info("done")

    job = long.submit()
    thread = threading.Thread(target=serve(app))
    thread.start()
    assert said.wait(20)
    wait_until(lambda: texts(job) == ["begun"])
    assert job.state is JobState.RUNNING
    go_on.set()
    thread.join(20)
    assert [(line.number, line.text) for line in job.log()] == [(1, "begun"), (2, "done")]


def test_a_job_that_crashed_before_has_each_line_written_at_once(app: Perdure) -> None:
    seen: list[list[str]] = []

    @app.job(name="risky")
    def risky(ctx: JobContext) -> None:
        ctx.log.info("about to divide")
        seen.append(texts(job))
        with ctx.transaction(final=True):
            ctx.log.info("within the block")  # on SQLite its writer would wait for itself
        seen.append(texts(job))

    job = risky.submit()
    app.ledger.jobs.settle(claimed(app.ledger, job.id), LOSE)
    serve(app)()
    assert seen == [["about to divide"], ["about to divide"]]
    assert texts(job) == ["about to divide", "within the block"]


def test_a_thread_that_outlives_its_job_says_nothing_in_the_name_of_the_next(app: Perdure) -> None:
    loggers = []

    @app.job(name="first")
    def first(ctx: JobContext, card: Annotated[str, Secret]) -> None:
        loggers.append(ctx.log)

    @app.job(name="second")
    def second(ctx: JobContext) -> None:
        loggers[0].info("late: %s", SECRET)
        ctx.log.info("mine")

    early, late = first.submit(SECRET), second.submit()
    serve(app)()
    assert (texts(early), texts(late)) == ([], ["mine"])


def test_nothing_is_kept_when_the_setting_says_so(migrated_url: str, redis_url: str, tmp_path: Any) -> None:
    app = Perdure(ledger_url=migrated_url, broker_url=redis_url, home=tmp_path / "home", job_log_lines=0)

    @app.job(name="talk")
    def talk(ctx: JobContext) -> None:
        ctx.log.info("hello")

    job = talk.submit()
    serve(app)()
    assert (job.state, job.log()) == (JobState.SUCCEEDED, [])
    app.close()


def test_lines_that_cannot_be_written_change_no_outcome(app: Perdure, monkeypatch: pytest.MonkeyPatch) -> None:
    @app.job(name="talk")
    def talk(ctx: JobContext, n: int) -> int:
        ctx.log.info("hello")
        return n

    jobs = talk.submit_many([(n,) for n in range(3)])

    def refuse(*_: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(app.ledger.jobs, "_seal_log", refuse)
    serve(app)()
    assert [job.result() for job in jobs] == [0, 1, 2]


def test_lines_of_a_job_that_was_pruned_leave_nothing(app: Perdure) -> None:
    chunk = Chunk("gone", "talk", 1, 1, 1, (Said(0.0, "INFO", "x"),), LogBounds())
    app.ledger.jobs.write_logs([chunk])
    assert app.ledger.jobs.log_of("gone", "talk") == []


def test_writing_again_writes_nothing_twice(app: Perdure) -> None:
    @app.job(name="talk")
    def talk() -> None: ...

    job = talk.submit()
    chunk = Chunk(job.id, "talk", 1, 1, 1, (Said(0.0, "INFO", "x"),), LogBounds())
    for _ in range(2):
        app.ledger.jobs.write_logs([chunk])
    app.ledger.jobs.write_logs([replace(chunk, first=2)])
    assert [line.number for line in job.log()] == [1, 2]
    assert [line.number for line in app.ledger.jobs.log_of(job.id, "talk", after=(1, 1))] == [2]


def test_lines_go_with_their_job_and_with_an_export(app: Perdure) -> None:
    @app.job(name="talk", retry="none")
    def talk(ctx: JobContext) -> None:
        ctx.log.info("hello")
        raise ValueError("no")

    job = talk.submit()
    serve(app)()
    lines = list(app.dead_letters.export())
    [letter] = app.dead_letters.list()
    app.dead_letters.discard(letter.id, "seen")
    assert app.ledger.jobs.prune(JobState.DEAD, 0.0, "", 10) == [job.id]
    assert app.ledger.jobs.log_of(job.id, "talk") == []
    app.dead_letters.purge(everything=True)
    app.dead_letters.import_lines(lines)
    assert [line.text for line in app.dead_letters.show(letter.id).log] == ["hello"]
