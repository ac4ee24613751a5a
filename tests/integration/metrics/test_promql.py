"""Rules for Prometheus and the dashboard, evaluated over what a platform really exposes: each rule fires and ends."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace
from sqlalchemy import update

from perdure import Perdure
from perdure.ledger.schema import facts, jobs
from perdure.ledger.workers import duty_reports
from perdure.model.alerts.builtin import BUILTIN
from perdure.model.alerts.rule import Rule
from perdure.model.alerts.slo import DAY, HOUR, WINDOWS, Slo
from perdure.model.metrics import BELLS_MISSED, CHECKPOINT_FAILURES, METRICS, Count
from perdure.model.records import Claim
from perdure.resilience import Member
from perdure_workers.monitoring.dashboard import dashboard
from perdure_workers.monitoring.exposition import exposition
from perdure_workers.notifiers.prometheus import rules_file
from support.ledgers import DIE, RETRY, SUCCEED, claimed, running, submitted
from support.promql import Scrapes

pytestmark = pytest.mark.slow

MINUTE = 60.0
SLO = Slo("adding", "tests.add", 10.0, 0.99, 30 * DAY)
#: Jobs that are deep enough for a test.
DEEP = 100


def a_rule(rule: Rule) -> Rule:
    return replace(rule, above=float(DEEP)) if rule.name == "queue_too_deep" else rule


RULES = {
    entry["alert"]: entry["expr"] for entry in yaml.safe_load(rules_file(map(a_rule, BUILTIN), [SLO]))["groups"][0]["rules"]
}


class Watched:
    """A platform that Prometheus watches."""

    def __init__(self, app: Perdure) -> None:
        self.app = app
        self.scrapes = Scrapes(lambda: exposition(self.app.metrics.read()))
        self.app.register(lambda n=0: n, name="tests.add")

    def submit(self, count: int = 1) -> list[str]:
        return [submitted(self.app.ledger, number) for number in range(count)]

    def run(self, bad: int, good: int, settlement: Any = RETRY, late: float = 0.0) -> None:
        claims = [claimed(self.app.ledger, job) for job in self.submit(bad + good)]
        if late:
            claims = [replace(claim, queued_at=claim.queued_at - late) for claim in claims]
        ends: list[tuple[Claim, Any]] = [(one, settlement) for one in claims[:bad]]
        self.app.ledger.jobs.settle_all(ends + [(one, SUCCEED) for one in claims[bad:]])

    def cancel(self) -> None:
        for job in self.app.jobs.list():
            job.cancel()

    def worker(self) -> str:
        row = {"id": "w-1", "name": "w-1", "bulkhead": "normal", "host": "h", "pid": 1, "concurrency": 1}
        self.app.ledger.workers.register({**row, "lease_ttl": 60.0, "lock_path": None, "life_line": None})
        return "w-1"

    def age(self, table: Any, *columns: str, seconds: float) -> None:
        with self.app.ledger.transaction() as connection:
            connection.execute(update(table).values({name: table.c[name] - seconds for name in columns}))

    def break_down(self) -> None:
        for _ in range(5):
            with pytest.raises(ZeroDivisionError):
                self.app.breakers["pay"].call(lambda: 1 / 0)


def die_twice(watched: Watched) -> None:
    """One death a long time ago, and many now."""
    watched.run(1, 0, DIE)
    watched.scrapes.stay(23 * HOUR, every=240)
    watched.run(5, 0, DIE)


def back_up(watched: Watched) -> None:
    watched.submit(DEEP)
    watched.scrapes.stay(MINUTE)
    watched.submit(20)


def wait_long(watched: Watched) -> None:
    watched.submit()
    watched.age(jobs, "run_at", "queued_at", seconds=301)


def worker_fails(watched: Watched) -> None:
    watched.app.ledger.workers.change_state(watched.worker(), "failed", "no heartbeat")


def bells_get_lost(watched: Watched) -> None:
    watched.run(0, 10)
    watched.app.ledger.count([Count(BELLS_MISSED.name, ("normal",), 6)])


def duties_done(watched: Watched) -> None:
    watched.app.ledger.transact(lambda c: duty_reports.report(c, ["rescue"], 1.0))


def duties_stop(watched: Watched) -> None:
    duties_done(watched)
    watched.age(facts, "updated_at", seconds=61)


def time_passes(seconds: float) -> Callable[[Watched], None]:
    return lambda watched: watched.scrapes.stay(seconds, every=max(15.0, min(240.0, seconds / 100)))


def nothing(_watched: Watched) -> None:
    pass


Act = Callable[[Watched], object]
#: What makes each rule fire, and what ends it.
SCENARIOS: dict[str, tuple[Act, Act]] = {
    "perdure_high_failure_rate": (lambda w: w.run(1, 9), time_passes(301)),
    "perdure_dead_letters_growing": (die_twice, time_passes(3 * HOUR)),
    "perdure_queue_too_old": (wait_long, Watched.cancel),
    "perdure_queue_too_deep": (lambda w: w.submit(DEEP + 1), Watched.cancel),
    "perdure_backlog_growing": (back_up, time_passes(301)),
    "perdure_breaker_open": (Watched.break_down, lambda w: w.app.breakers["pay"].reset(reason="done", by="ann")),
    "perdure_worker_failed": (worker_fails, time_passes(HOUR + 1)),
    "perdure_bulkhead_unserved": (Watched.submit, Watched.worker),
    "perdure_checkpoint_failures": (
        lambda w: w.app.ledger.count([Count(CHECKPOINT_FAILURES.name, ("tests.add",), 1)]),
        time_passes(301),
    ),
    "perdure_bells_lost": (bells_get_lost, time_passes(301)),
    "perdure_bulkhead_paused": (lambda w: w.app.bulkheads.pause("normal"), lambda w: w.app.bulkheads.resume("normal")),
    "perdure_duties_neglected": (duties_stop, duties_done),
    **{
        f"perdure_slo_burn_{window.name}_adding": (lambda w: w.run(3, 7, DIE), time_passes(window.short + 1))
        for window in WINDOWS
    },
}


@pytest.fixture
def watched(sqlite_app: Perdure) -> Watched:
    found = Watched(sqlite_app)
    found.scrapes.stay(10 * MINUTE)
    return found


def firing(watched: Watched) -> set[str]:
    return {name for name, expression in RULES.items() if watched.scrapes.ask(expression)}


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_rule_fires_and_ends(watched: Watched, name: str) -> None:
    trouble, mend = SCENARIOS[name]
    assert firing(watched) == set()
    trouble(watched)
    watched.scrapes.stay(2 * MINUTE)
    assert name in firing(watched)
    mend(watched)
    watched.scrapes.stay(MINUTE)
    assert name not in firing(watched)


def test_no_rule_is_without_its_trouble() -> None:
    assert SCENARIOS.keys() == RULES.keys() - {"perdure_part_unreadable"}


def test_a_part_that_cannot_be_read(watched: Watched) -> None:
    settings = watched.app.settings
    watched.app = Perdure(ledger_url="sqlite:////nowhere/ledger", broker_url=settings.broker_url, home=settings.home)
    watched.scrapes.stay(MINUTE)
    assert watched.scrapes.ask(RULES["perdure_part_unreadable"]) == {frozenset({("part", "ledger")}): 0.0}
    watched.app.close()


def test_what_is_paused_is_not_unserved_and_nine_calls_are_too_few(watched: Watched) -> None:
    watched.run(4, 5)
    watched.app.bulkheads.pause("normal")
    watched.submit()
    watched.scrapes.stay(2 * MINUTE)
    assert firing(watched) == {"perdure_bulkhead_paused"}


def test_jobs_that_are_late_burn_a_budget_too(watched: Watched) -> None:
    watched.run(0, 10)
    watched.scrapes.stay(2 * MINUTE)
    assert firing(watched) == set()
    watched.run(0, 10, late=31.0)
    watched.scrapes.stay(2 * MINUTE)
    assert "perdure_slo_burn_fast_adding" in firing(watched)


@pytest.fixture
def everything(watched: Watched) -> Watched:
    """A platform that has counted something for each metric, beside what it reads."""
    once = [Count(one.name, ("x",) * len(one.labels), 3, 0.5, 2 if one.buckets else -1) for one in METRICS]
    watched.app.ledger.count([one for one in once if not one.name.startswith(("perdure_jobs_", "perdure_breaker_open"))])
    watched.app.failover.add("db", [Member("a", 1), Member("b", 2)])
    watched.run(1, 3, DIE)
    watched.run(1, 0, RETRY)
    running(watched.app.ledger)
    watched.worker()
    watched.break_down()
    watched.scrapes.stay(10 * MINUTE)
    return watched


def test_each_panel_has_something_to_show(everything: Watched) -> None:
    file = json.loads((Path(__file__).parents[3] / "deploy" / "grafana-dashboard.json").read_text())
    assert file == dashboard()
    for panel in (panel for panel in file["panels"] if panel["type"] != "row"):
        expression = re.sub(r"\$__rate_interval", "30m", panel["targets"][0]["expr"])
        assert everything.scrapes.ask(expression), panel["title"]
