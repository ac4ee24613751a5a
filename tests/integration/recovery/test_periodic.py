"""Periodic jobs: one job a tick, however many supervisors look; missed ticks by policy."""

from __future__ import annotations

import threading

import pytest

from perdure import Perdure
from perdure_workers.supervisor.duties.tick import Tick


def set_last_tick(app: Perdure, name: str, tick: float) -> None:
    assert app.ledger.schedules.fire(name, app.ledger.schedules.last_tick(name), tick, None) is None


def jobs_of(app: Perdure, name: str) -> int:
    return len(app.jobs.list(task=name))


@pytest.fixture
def half_hourly(app: Perdure) -> str:
    @app.periodic(every=1800)
    @app.job(name="half-hourly")
    def tick() -> None:
        return None

    return tick.name


def test_new_schedule_begins_with_the_next_tick(app: Perdure, half_hourly: str) -> None:
    assert Tick(app).run_once() == 0
    assert jobs_of(app, half_hourly) == 0


def test_the_ledger_is_not_asked_while_no_tick_is_near(app: Perdure, half_hourly: str, statements: list[str]) -> None:
    duty = Tick(app)
    duty.run_once()
    statements.clear()
    assert duty.run_once() == 0
    assert statements == []

    app.register(lambda: None, name="new")
    app.periodic(every=3600, name="another")(app.task("new").function)
    duty.run_once()
    assert statements != []  # a new schedule is looked at immediately


def test_many_supervisors_submit_one_job_a_tick(app: Perdure, half_hourly: str) -> None:
    fired: list[int] = []
    for days_ago in (3, 2, 1):
        duties = [Tick(app) for _ in range(6)]
        set_last_tick(app, half_hourly, app.ledger.clock() - days_ago * 86400)
        threads = [threading.Thread(target=lambda duty=duty: fired.append(duty.run_once())) for duty in duties]  # type: ignore[misc]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    # The newest tick is the same in all three rounds (unless the half hour ends just now): its key lets one job in.
    assert sum(fired) == jobs_of(app, half_hourly) <= 2
    assert sum(fired) >= 1


def test_missed_ticks_are_run_once_or_skipped(app: Perdure) -> None:
    @app.periodic(every=86400, missed="skip", name="skips")
    def skips() -> None:
        return None

    @app.periodic(every=86400, name="makes-up")
    def makes_up() -> None:
        return None

    for name in ("skips", "makes-up"):
        set_last_tick(app, name, app.ledger.clock() - 10 * 86400)
    fired = Tick(app).run_once()

    assert jobs_of(app, "makes-up") == 1
    assert jobs_of(app, "skips") == fired - 1
    assert Tick(app).run_once() == 0


def test_supervisor_that_was_late_does_not_go_back(app: Perdure, half_hourly: str) -> None:
    seen_before = app.ledger.schedules.last_tick(half_hourly)
    set_last_tick(app, half_hourly, seen_before + 10)

    submitted = app.submitter.submit_tick(
        app.task(half_hourly), app.schedules[half_hourly], seen_before, seen_before + 5, wanted=True
    )

    assert not submitted
    assert app.ledger.schedules.last_tick(half_hourly) == pytest.approx(seen_before + 10)


def test_a_tick_that_is_passed_over_leaves_the_job_of_the_one_before(app: Perdure, half_hourly: str) -> None:
    last, task, schedule = app.ledger.schedules.last_tick(half_hourly), app.task(half_hourly), app.schedules[half_hourly]
    assert app.submitter.submit_tick(task, schedule, last, last + 5, wanted=True)
    [job] = app.jobs.list(task=half_hourly)
    assert not app.submitter.submit_tick(task, schedule, last + 5, last + 10, wanted=False)
    [state] = [each.last for each in app.schedules.states() if each.last is not None]
    assert (state.job_id, state.state) == (job.id, "queued")
    assert state.at is not None
    assert state.at.timestamp() == pytest.approx(last + 10)


def test_each_schedule_of_a_task_submits_its_own_jobs(app: Perdure) -> None:
    @app.periodic(every=1800, args=("first",))
    @app.periodic(every=1800, args=("second",), name="second")
    @app.periodic(every=1800, kwargs={"to": "third"}, name="third", jitter=3600)
    @app.job(name="greet")
    def greet(to: str) -> None: ...

    for name in app.schedules:
        set_last_tick(app, name, app.ledger.clock() - 86400)
    assert Tick(app).run_once() == 3
    jobs = {(*job.record.args, *job.record.kwargs.values()): job.record.state for job in app.jobs.list(task="greet")}
    assert jobs == {("first",): "queued", ("second",): "queued", ("third",): "scheduled"}


def test_a_ledger_of_a_release_with_one_schedule_a_task_goes_on(app: Perdure, half_hourly: str) -> None:
    """Its row has the task's name, and its jobs' keys have the tick alone."""
    tick = app.ledger.clock() // 1800 * 1800
    app.task(half_hourly).options(idempotency_key=f"tick:{tick:.3f}").submit()
    set_last_tick(app, half_hourly, tick - 1800)
    assert Tick(app).run_once() in (0, 1)  # one if the half hour ended just now
    assert jobs_of(app, half_hourly) == 1 + (app.ledger.schedules.last_tick(half_hourly) > tick)
