"""Alerts of a real ledger: each rule fires and ends, each step is told once, whoever looks."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy import Engine, event, update

from perdure import Measured, Perdure
from perdure.errors import InvalidArguments, NoSuchAlert, SettingsError
from perdure.ledger import minutes
from perdure.ledger.alerts import outbox
from perdure.ledger.schema import alerts, dead_letter_groups, facts, jobs, outcome_counts, worker_events
from perdure.manage.alerts.alerts import Alerts
from perdure.model.alerts.alert import Alert
from perdure.model.alerts.builtin import BUILTIN
from perdure.model.alerts.decide import Change, Step
from perdure.model.alerts.slo import DAY, Slo
from perdure.model.ids import new_id
from perdure.model.metrics import BELLS_MISSED, CHECKPOINT_FAILURES, Count
from perdure.model.setting_types import table
from perdure.settings.alert_settings import AlertSettings
from perdure_workers.supervisor.maintenance import prune
from support.ledgers import DIE, RETRY, SUCCEED, at_once, claimed, dead, submitted

pytestmark = pytest.mark.slow

Serve = Callable[..., str]
#: Statements of a look while nothing happens; docs/performance.md says it.
MOST = 12


def supervisor(app: Perdure) -> Alerts:
    """Another process' view of the same alerts."""
    made = Alerts(app.alerts._sources)
    made.slos = app.alerts.slos
    return made


def names(app: Perdure, state: str = "firing") -> list[str]:
    return sorted(alert.rule for alert in app.alerts.list(state=state))


def told(app: Perdure, rule: str) -> list[str]:
    """What notifiers are told of a rule, in order."""
    return [one.event.value for one in reversed(app.alerts.notifications(rule=rule))]


def look(app: Perdure) -> list[tuple[str, str]]:
    app.ledger.add_up_counts(enough=0.0, full=False)
    found = app.alerts.look(always=True)
    assert found is not None
    return [(change.alert.rule, change.step.value) for change in found.changes]


def pass_time(app: Perdure, table: Any, **columns: float) -> None:
    """Move times of a table's rows into the past."""
    with app.ledger.transaction() as connection:
        connection.execute(update(table).values({name: table.c[name] - seconds for name, seconds in columns.items()}))


def one(app: Perdure, rule: str) -> Alert:
    [alert] = app.alerts.list(rule=rule)
    return alert


def test_a_platform_without_trouble_has_no_alerts_and_few_statements(app: Perdure) -> None:
    look(app)
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    assert look(app) == []
    event.remove(Engine, "before_cursor_execute", note)
    assert len([each for each in sent if not each.startswith("BEGIN")]) <= MOST, sent


def test_a_task_that_fails_too_often(app: Perdure) -> None:
    for number in range(10):
        claim = claimed(app.ledger, submitted(app.ledger, number))
        app.ledger.jobs.settle(claim, RETRY if number == 0 else SUCCEED)
    assert ("high_failure_rate", "open") in look(app)
    assert one(app, "high_failure_rate").message == "tests.add: 1 of 10 attempts failed in 300 s (10.0%)"
    assert look(app) == []
    with app.ledger.transaction() as connection:  # five minutes later
        connection.execute(outcome_counts.update().values(start=outcome_counts.c.start - 600))
    look(app)
    assert names(app) == ["high_failure_rate"], "kept for a minute"
    pass_time(app, alerts, clear_since=60)
    assert look(app) == [("high_failure_rate", "resolve")]
    assert told(app, "high_failure_rate") == ["firing", "resolved"]


def test_nine_calls_are_too_few_to_judge_by(sqlite_app: Perdure) -> None:
    app = sqlite_app
    for number in range(9):
        app.ledger.jobs.settle(claimed(app.ledger, submitted(app.ledger, number)), RETRY)
    assert "high_failure_rate" not in dict(look(app))


def test_each_attempt_counts_once_whoever_counts(app: Perdure) -> None:
    for number in range(3):
        app.ledger.jobs.settle(claimed(app.ledger, submitted(app.ledger, number)), SUCCEED)
    app.slo("adding", task="tests.add", target=0.99)
    looks = [supervisor(app) for _ in range(3)]
    adding = [lambda: app.ledger.add_up_counts(enough=0.0, full=True)] * 2
    at_once([*adding, *(lambda each=each: each.look(always=True) for each in looks)])
    moment = app.ledger.clock()
    found, _ = app.ledger.read(lambda c: minutes.recent(c, moment, 300, 300))
    assert {name: one.good for name, one in found.items()} == {"task:tests.add": 3, "bulkhead:normal": 3, "slo:adding": 3}


def test_faults_that_are_new_and_faults_that_grow(app: Perdure) -> None:
    _, letter = dead(app.ledger, 1)
    assert ("dead_letter_group_new", "open") in look(app)
    app.dead_letters.discard(letter, reason="seen", by="ann")
    assert ("dead_letter_group_new", "resolve") in look(app)
    for number in range(10):
        dead(app.ledger, number)
    pass_time(app, dead_letter_groups, first_seen=7200)
    assert ("dead_letters_growing", "open") in look(app)
    assert one(app, "dead_letters_growing").labels["task"] == "tests.add"
    app.dead_letters.discard_many("seen")
    assert ("dead_letters_growing", "resolve") in look(app)


def test_jobs_that_wait_too_long_and_nobody_who_serves_them(sqlite_app: Perdure, serve: Serve) -> None:
    app = sqlite_app
    job = submitted(app.ledger, 1)
    assert look(app) == [("bulkhead_unserved", "open")]
    pass_time(app, jobs, run_at=301)
    assert ("queue_too_old", "open") in look(app)
    pass_time(app, alerts, since=15)
    assert ("bulkhead_unserved", "fire") in look(app)
    worker = serve()
    assert ("bulkhead_unserved", "resolve") in look(app)
    app.ledger.jobs.settle(claimed(app.ledger, job, worker=worker), SUCCEED)
    assert ("queue_too_old", "resolve") in look(app)
    assert told(app, "bulkhead_unserved") == told(app, "queue_too_old") == ["firing", "resolved"]


def test_a_backlog_that_grows_for_ten_minutes(app: Perdure, serve: Serve) -> None:
    serve()
    for number in range(120):
        submitted(app.ledger, number)
    assert look(app) == []
    table = outcome_counts
    with app.ledger.transaction() as connection:  # five minutes later there are 30 more
        connection.execute(table.update().values(start=table.c.start - 300))
    for number in range(30):
        submitted(app.ledger, number)
    assert look(app) == [("backlog_growing", "open")]
    [alert] = app.alerts.open()
    assert alert.value == pytest.approx(0.1)
    pass_time(app, alerts, since=600)
    assert look(app) == [("backlog_growing", "fire")]


def test_a_breaker_that_is_open_for_long_and_one_that_somebody_forced(sqlite_app: Perdure) -> None:
    app = sqlite_app
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            app.breakers["pay"].call(lambda: 1 / 0)
    assert look(app) == [("breaker_open", "open")]
    pass_time(app, alerts, since=300)
    assert look(app) == [("breaker_open", "fire")]
    app.breakers["pay"].force_open(reason="deploy", by="ann", lasts=60)
    assert sorted(look(app)) == [("breaker_forced", "open"), ("breaker_open", "resolve")]
    app.breakers["pay"].reset(reason="done", by="ann")
    assert look(app) == [("breaker_forced", "resolve")]
    assert told(app, "breaker_forced") == [], "nobody is told of what somebody wanted"


def test_a_worker_that_failed_and_comes_back(sqlite_app: Perdure, serve: Serve) -> None:
    app = sqlite_app
    app.ledger.workers.change_state(serve(), "failed", "no heartbeat")
    assert look(app) == [("worker_failed", "open")]
    serve()
    assert look(app) == [("worker_failed", "resolve")]
    app.ledger.workers.change_state(serve(name="other"), "failed", "no heartbeat")
    assert look(app) == [("worker_failed", "open")]
    pass_time(app, worker_events, at=3601)
    assert look(app) == [("worker_failed", "resolve")]


def test_checkpoints_that_cannot_be_saved(app: Perdure) -> None:
    app.ledger.count([Count(CHECKPOINT_FAILURES.name, ("tests.add",), 1)])
    assert look(app) == [("checkpoint_failures", "open")]


def test_jobs_that_only_looks_find(app: Perdure) -> None:
    for number in range(10):
        app.ledger.jobs.settle(claimed(app.ledger, submitted(app.ledger, number)), SUCCEED)
    app.ledger.count([Count(BELLS_MISSED.name, ("normal",), 5)])
    assert look(app) == []
    app.ledger.count([Count(BELLS_MISSED.name, ("normal",), 1)])
    assert look(app) == [("bells_lost", "open")]


def test_a_broker_that_is_away_rings_no_bells(sqlite_app: Perdure) -> None:
    app = sqlite_app

    def gone() -> None:
        raise ConnectionError("refused")

    app.health.register("broker", gone, critical=False)
    found = dict(look(app))
    assert found["bells_lost"] == found["health_check"] == "open"


def test_a_disk_that_fills_and_a_check_of_the_application(sqlite_app: Perdure, monkeypatch: pytest.MonkeyPatch) -> None:
    app = sqlite_app
    monkeypatch.setattr("perdure.manage.alerts.facts._disk", lambda _settings: ("here", 500 * 1024 * 1024))
    app.health.register("licence", lambda: False)
    assert sorted(look(app)) == [("disk_low", "open"), ("health_check_critical", "open")]
    monkeypatch.setattr("perdure.manage.alerts.facts._disk", lambda _settings: ("here", 600 * 1024 * 1024))
    assert look(app) == [], "not until there is a quarter more"
    app.health.unregister("licence")
    monkeypatch.setattr("perdure.manage.alerts.facts._disk", lambda _settings: ("here", 700 * 1024 * 1024))
    assert sorted(look(app)) == [("disk_low", "resolve"), ("health_check_critical", "resolve")]


def test_what_somebody_paused_is_seen_and_told_to_nobody(sqlite_app: Perdure) -> None:
    app = sqlite_app
    app.bulkheads.pause("normal", by="ann", reason="deploy")
    submitted(app.ledger, 1)
    assert look(app) == [("bulkhead_paused", "open")], "a paused bulkhead is neither late nor unserved"
    assert one(app, "bulkhead_paused").message == "normal is paused by ann: deploy"
    app.bulkheads.resume("normal")
    assert ("bulkhead_paused", "resolve") in look(app)
    assert app.alerts.notifications() == []


def test_objectives_come_from_settings_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_SLOS__CHECKOUT__TASK", "shop.pay")
    monkeypatch.setenv("PERDURE_SLOS__CHECKOUT__WITHIN", "30")
    assert Perdure(home=tmp_path).alerts.slos == {"checkout": Slo("checkout", "shop.pay", 30.0, 0.999, 30 * DAY)}
    monkeypatch.setenv("PERDURE_SLOS__CHECKOUT__TARGET", "99.9")
    with pytest.raises(SettingsError, match=r"slos\.checkout\.target.*below 1.*PERDURE_SLOS__CHECKOUT__TARGET"):
        Perdure(home=tmp_path)


def test_an_objective_that_burns_its_budget(app: Perdure) -> None:
    app.slo("adding", task="tests.add", within=10, target=0.99, window=86_400)
    for number in range(20):
        claim = claimed(app.ledger, submitted(app.ledger, number))
        app.ledger.jobs.settle(claim, DIE if number < 4 else SUCCEED)
    late = claimed(app.ledger, submitted(app.ledger, 99))
    with app.ledger.transaction() as connection:
        connection.execute(update(jobs).where(jobs.c.id == late.job_id).values(queued_at=jobs.c.queued_at - 11))
    app.ledger.jobs.settle(late, SUCCEED)
    found = dict(look(app))
    assert found["slo_burn_fast"] == found["slo_burn_medium"] == found["slo_burn_slow"] == "open"
    [state] = app.alerts.slo_states()
    assert (state.good, state.bad) == (16, 5)
    assert state.budget_left < 0


def test_a_rule_of_the_application_s_own(sqlite_app: Perdure) -> None:
    app = sqlite_app
    stock = {"pears": 3.0}
    app.alerts.rule("low_stock", lambda: stock, below=5, clear=8, severity="critical", todo="Buy some.")
    app.alerts.rule("odd", lambda: [Measured({"shop": "a"}, 2.0, "two of a")], above=1)
    assert sorted(look(app)) == [("low_stock", "open"), ("odd", "open")]
    assert one(app, "low_stock").labels == {"of": "pears"}
    stock["pears"] = 8.0
    assert look(app) == [("low_stock", "resolve")]


def test_a_measure_that_fails_ends_nothing(sqlite_app: Perdure) -> None:
    app = sqlite_app
    values = iter([2.0])
    app.alerts.rule("sick", lambda: next(values), above=1)
    assert look(app) == [("sick", "open")]
    assert look(app) == []
    assert names(app) == ["sick"]


def test_only_one_supervisor_looks_until_it_stops_coming(app: Perdure) -> None:
    first, second = supervisor(app), supervisor(app)
    assert first.look() is not None
    assert second.look() is None
    assert first.look() is not None
    pass_time(app, facts, updated_at=21)
    assert second.look() is not None
    assert first.look() is None
    last = app.alerts.last_look()
    assert last is not None
    assert last.holder == second.holder


def test_each_step_is_told_once_however_many_look_at_the_same_moment(app: Perdure) -> None:
    app.alerts.rule("first", lambda: 2.0, above=1)
    looks = [supervisor(app) for _ in range(3)]
    for each in looks:
        each.rule("first", lambda: 2.0, above=1)
    at_once([lambda each=each: each.look(always=True) for each in looks])
    assert told(app, "first") == ["firing"]
    for each in looks:
        each.rule("first", lambda: 0.0, above=1)
    at_once([lambda each=each: each.look(always=True) for each in looks])
    assert told(app, "first") == ["firing", "resolved"]
    assert [alert.phase.value for alert in app.alerts.list(rule="first")] == ["resolved"]


def test_what_was_told_stays_told_whoever_looked_before_that(app: Perdure) -> None:
    app.alerts.rule("first", lambda: 2.0, above=1)
    look(app)
    alert = one(app, "first")
    assert alert.told
    app.ledger.alerts.apply([Change(Step.KEEP, replace(alert, told=False))], [])
    assert one(app, "first").told


def test_every_built_in_alert_is_told_once_by_three_of_whom_one_dies(app: Perdure, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = {"kind": "log", "severity": "info"}
    settings = msgspec.structs.replace(app.settings, alerts=table(AlertSettings, {"notifiers": {"log": everything}}))
    looks = [Alerts(replace(app.alerts._sources, settings=settings)) for _ in range(3)]
    dying, add = threading.local(), outbox.add

    def add_or_die(connection: Any, notices: Any) -> None:
        add(connection, notices)
        if getattr(dying, "now", False):
            raise SystemExit("killed before it commits")

    def die() -> None:
        dying.now = True
        with contextlib.suppress(SystemExit):
            looks[0].look(always=True)

    def all_look(bad: bool) -> None:
        found: dict[str, list[Measured]] = {}
        for rule in BUILTIN:
            beyond, within = (rule.above + 1, 0.0) if rule.above is not None else (0.0, 1e12)
            value = Measured({"of": "x", **rule.match}, beyond if bad else within, "it is so")
            found.setdefault(rule.measure, []).append(value)
        monkeypatch.setattr("perdure.manage.alerts.look.measure_all", lambda _facts: found)
        at_once([die, *(lambda each=each: each.look(always=True) for each in looks[1:])])

    monkeypatch.setattr(outbox, "add", add_or_die)
    for bad, column in ((True, "since"), (True, "since"), (False, "clear_since"), (False, "clear_since")):
        all_look(bad)
        pass_time(app, alerts, **{column: 601.0})
    assert {rule.name: told(app, rule.name) for rule in BUILTIN} == {rule.name: ["firing", "resolved"] for rule in BUILTIN}
    assert app.alerts.open() == []


def test_a_silence(app: Perdure) -> None:
    app.alerts.rule("noise", lambda: {"a": 2.0, "b": 2.0}, above=1)
    silence = app.alerts.silence("noise", labels={"of": "a"}, lasts=3600, by="ann", reason="known")
    look(app)
    [sent] = app.alerts.notifications(rule="noise")
    assert [alert.labels for alert in sent.alerts] == [{"of": "b"}]
    assert [(one.by, one.reason) for one in app.alerts.silences()] == [("ann", "known")]
    assert app.alerts.unsilence(silence.id)
    assert not app.alerts.unsilence(silence.id)
    look(app)
    assert told(app, "noise") == ["firing", "firing"]
    with pytest.raises(NoSuchAlert, match="Did you mean 'noise'"):
        app.alerts.silence("noize", lasts=60)
    with pytest.raises(InvalidArguments):
        app.alerts.silence("noise", lasts=0)


def test_what_ended_long_ago_is_deleted(app: Perdure, monkeypatch: pytest.MonkeyPatch) -> None:
    app.alerts.rule("old", lambda: 2.0, above=1)
    app.alerts.rule("new", lambda: 2.0, above=1)
    look(app)
    app.alerts.rule("old", lambda: 0.0, above=1)
    look(app)
    app.alerts.silence("*", lasts=1)
    year = 366 * 86_400.0
    monkeypatch.setattr("perdure.ledger.alerts.store.earliest_id", lambda _moment: new_id())
    with app.ledger.transaction() as connection:
        connection.execute(update(alerts).values(resolved_at=alerts.c.resolved_at - year))
    assert prune(app)["alerts"] >= 3
    assert [alert.rule for alert in app.alerts.open()] == ["new"]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"high_failur_rate": {"above": 0.5}}, "Did you mean 'high_failure_rate'"),
        ({"deep": {"measure": "queue_dept", "above": 1}}, "Did you mean 'queue_depth'"),
        ({"deep": {"measure": "queue_depth"}}, "give one of above= and below="),
        ({"queue_too_deep": {"clear": 20_000}}, "still bad"),
    ],
)
def test_rules_in_the_settings_that_cannot_be_looked_at(rules: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Perdure(alerts={"rules": rules}).alerts.rules()


def test_rules_in_the_settings(sqlite_app: Perdure) -> None:
    app = sqlite_app
    mine = {"measure": "queue_depth", "above": 0, "match": {"bulkhead": "normal"}, "severity": "critical"}
    changed = Perdure(
        ledger_url=app.settings.ledger_url,
        broker_url=app.settings.broker_url,
        alerts={"rules": {"mine": mine, "bulkhead_unserved": {"enabled": False}}},
    )
    submitted(app.ledger, 1)
    assert look(changed) == [("mine", "open")]
    changed.close()
