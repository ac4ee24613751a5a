"""Schedules paused, run once and made up for: each tick gets one job, however often somebody asks."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from perdure import JobContext, Perdure, Task
from perdure.errors import BulkheadFull, InvalidArguments, UnknownSchedule
from perdure.model.states import JobState
from perdure_workers.supervisor.duties.tick import Tick
from support.inline import run

HALF_HOUR = 1800.0
#: A moment of the past, at which a tick lies.
BEGIN = 1_000 * HALF_HOUR


@pytest.fixture
def task(app: Perdure) -> Task[[], str]:
    @app.periodic(every=HALF_HOUR)
    @app.job(name="half-hourly")
    def tick(ctx: JobContext) -> str:
        return str(ctx.tick and ctx.tick.isoformat())

    return tick


def set_last_tick(app: Perdure, name: str, ago: float) -> None:
    assert app.ledger.schedules.fire(name, app.ledger.schedules.last_tick(name), app.ledger.clock() - ago, None) is None


def jobs(app: Perdure) -> int:
    return len(app.jobs.list(task="half-hourly"))


def test_a_paused_schedule_lets_its_ticks_pass_and_goes_on_with_the_next_one(app: Perdure, task: Task[[], str]) -> None:
    app.schedules.pause(task.name, by="ann", reason="the target is down")
    app.ledger.schedules.fire(
        task.name, app.ledger.schedules.last_tick(task.name), BEGIN, None
    )  # what a supervisor may be about to do
    [state] = app.schedules.states()
    assert state.pause is not None
    assert (state.pause.by, state.pause.reason) == ("ann", "the target is down")
    assert state.last is not None
    assert state.last.at != datetime.fromtimestamp(BEGIN, UTC)  # it does not move
    assert app.schedules.resume(task.name)
    assert not app.schedules.resume(task.name)
    assert Tick(app).run_once() == 0  # the ticks of the pause are not run
    assert jobs(app) == 0
    set_last_tick(app, task.name, 2 * HALF_HOUR)
    assert Tick(app).run_once() == 1


def test_a_supervisor_that_saw_the_tick_before_the_pause_submits_nothing(app: Perdure, task: Task[[], str]) -> None:
    set_last_tick(app, task.name, 2 * HALF_HOUR)
    last, schedule = app.ledger.schedules.last_tick(task.name), app.schedules[task.name]
    app.schedules.pause(task.name)
    tick = schedule.due(last, app.ledger.clock())
    assert tick is not None
    assert not app.submitter.submit_tick(task, schedule, last, tick, wanted=True)
    assert Tick(app).run_once() == 0
    assert jobs(app) == 0


def test_a_backfill_submits_each_missed_tick_once(app: Perdure, task: Task[[], str]) -> None:
    until = BEGIN + 5 * HALF_HOUR
    plan = app.schedules.plan(task.name, BEGIN, until)
    assert [tick.timestamp() for tick in plan.ticks] == [BEGIN + number * HALF_HOUR for number in range(5)]
    assert (plan.have_jobs, plan.forgotten) == (0, 5)
    assert app.schedules.backfill(task.name, BEGIN + HALF_HOUR, BEGIN + 3 * HALF_HOUR) == 2
    again = app.schedules.plan(task.name, BEGIN, until)
    assert (len(again.ticks), again.have_jobs) == (3, 2)
    batches: list[int] = []
    assert app.schedules.backfill(task.name, BEGIN, until, on_batch=batches.append) == 3
    assert batches == [3]
    assert app.schedules.backfill(task.name, BEGIN, until) == 0
    assert jobs(app) == 5
    assert {job.record.priority for job in app.jobs.list(task=task.name)} == {9}


def test_a_key_that_has_expired_still_tells_of_its_tick(migrated_url: str, redis_url: str, tmp_path: object) -> None:
    app = Perdure(ledger_url=migrated_url, broker_url=redis_url, home=f"{tmp_path}/home", idempotency_ttl=0.001)

    @app.periodic(every=HALF_HOUR)
    def nightly() -> None: ...

    [name] = app.schedules
    assert app.schedules.backfill(name, BEGIN, BEGIN + HALF_HOUR) == 1
    assert app.schedules.backfill(name, BEGIN, BEGIN + HALF_HOUR) == 0
    app.close()


def test_what_a_supervisor_has_fired_is_not_submitted_again(app: Perdure, task: Task[[], str]) -> None:
    set_last_tick(app, task.name, 3 * HALF_HOUR)
    assert Tick(app).run_once() == 1
    now = app.ledger.clock()
    plan = app.schedules.plan(task.name, now - 3 * HALF_HOUR)
    assert (len(plan.ticks), plan.have_jobs, plan.forgotten) == (2, 1, 0)
    assert app.schedules.backfill(task.name, now - 3 * HALF_HOUR, now + 86400) == 2  # and no tick to come
    assert jobs(app) == 3


def test_a_job_and_its_replay_know_their_tick(app: Perdure, task: Task[[], str]) -> None:
    app.schedules.backfill(task.name, BEGIN, BEGIN + 1)
    [job] = app.jobs.list(task=task.name)
    assert run(app, job) == JobState.SUCCEEDED
    assert job.result() == datetime.fromtimestamp(BEGIN, UTC).isoformat()
    triggered = app.schedules.trigger(task.name, by="ann")
    assert triggered.record.tags == {"triggered_by": "ann"}
    assert run(app, triggered) == JobState.SUCCEEDED
    assert triggered.result() == "None"


def test_a_schedule_with_a_name_has_ticks_of_its_own(app: Perdure) -> None:
    @app.periodic(every=HALF_HOUR, args=(1,))
    @app.periodic(every=HALF_HOUR, args=(2,), name="second")
    @app.job(name="both")
    def both(n: int) -> None: ...

    for name in ("both", "both/second"):
        assert app.schedules.backfill(name, BEGIN, BEGIN + 2 * HALF_HOUR) == 2
    assert sorted(job.record.args[0] for job in app.jobs.list(task="both")) == [1, 1, 2, 2]


def test_cron_ticks_are_those_of_its_zone(app: Perdure) -> None:
    @app.periodic(cron="30 8 * * *", tz="Europe/Berlin")
    @app.job(name="morning")
    def morning() -> None: ...

    plan = app.schedules.plan("morning", datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC))
    assert [tick.isoformat() for tick in plan.ticks] == [
        "2026-03-28T07:30:00+00:00",
        "2026-03-29T06:30:00+00:00",
        "2026-03-30T06:30:00+00:00",
    ]


@pytest.mark.parametrize(
    ("since", "until", "said"),
    [
        (BEGIN, BEGIN, "no tick can have been missed"),
        (BEGIN + 1, BEGIN, "no tick can have been missed"),
        (1e11, None, "no tick can have been missed"),
        (0, None, "more than 10,000 ticks"),
        (-1e9, None, "more than 10,000 ticks"),
    ],
)
def test_stretches_that_make_no_sense(
    app: Perdure, task: Task[[], str], since: float, until: float | None, said: str
) -> None:
    with pytest.raises(InvalidArguments, match=said):
        app.schedules.backfill(task.name, since, until)
    assert jobs(app) == 0


def test_names_that_are_none(app: Perdure, task: Task[[], str]) -> None:
    for act in (app.schedules.pause, app.schedules.resume, app.schedules.trigger):
        with pytest.raises(UnknownSchedule, match=r"'half-hurly' is no schedule\. Did you mean 'half-hourly'"):
            act("half-hurly")


def test_a_full_bulkhead_takes_what_has_room_and_the_next_call_goes_on(
    migrated_url: str, redis_url: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perdure.manage.schedules.CHUNK", 2)
    bulkheads = {"normal": {"max_depth": 3}}
    app = Perdure(ledger_url=migrated_url, broker_url=redis_url, home=f"{tmp_path}/home", bulkheads=bulkheads)

    @app.periodic(every=HALF_HOUR)
    @app.job(name="half-hourly")
    def tick() -> None: ...

    stretch = BEGIN, BEGIN + 5 * HALF_HOUR
    with pytest.raises(BulkheadFull):
        app.schedules.backfill("half-hourly", *stretch)
    assert jobs(app) == 2
    for job in app.jobs.list():
        job.cancel()
    assert app.schedules.backfill("half-hourly", *stretch) == 3
    app.close()
