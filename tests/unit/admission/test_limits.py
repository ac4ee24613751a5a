"""Which lanes a worker may claim from, by what runs: pure decisions on counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perdure import Perdure
from perdure.admission.limits import PAGE, Limits
from perdure.ledger.jobs.lanes import Lane
from perdure.model.lanes import lane_of
from perdure.settings.settings import BulkheadSettings

#: No statement is sent: what is decided here needs neither a ledger nor a Redis.
NOWHERE = "redis://127.0.0.1:1/0"


def lane(task: str, key: str = "") -> Lane:
    return Lane(lane_of(task, limit_key=key, breaker=None), task, None, key, 0.0, 1.0)


Bounded = Callable[..., Limits]


@pytest.fixture
def bounded(tmp_path: Path) -> Iterator[Bounded]:
    """Returns the limits of an application with a task ``t`` of a limit, on a bulkhead of one."""
    made: list[Perdure] = []

    def make(task: int | None = None, bulkhead: int | None = None) -> Limits:
        app = Perdure(ledger_url=f"sqlite:///{tmp_path}/none.db", broker_url=NOWHERE, home=tmp_path)
        app.settings.bulkheads["normal"] = BulkheadSettings(limit=bulkhead)
        app.job(name="t", limit=task)(lambda: None)
        made.append(app)
        return app.limits

    yield make
    for app in made:
        app.close()


def test_each_key_has_a_turn_and_what_runs_counts(bounded: Bounded) -> None:
    limits = bounded(task=2)
    lanes = [lane("t", "a"), lane("t", "b")]
    running = {("normal", "t", "a"): 2, ("normal", "t", "b"): 1}
    assert limits.admitted("normal", lanes, running) == {lane("t", "b").name: 1}
    assert limits.admitted("normal", lanes, {}) == {each.name: 1 for each in lanes}


def test_a_key_s_limit_counts_in_all_bulkheads(bounded: Bounded) -> None:
    limits = bounded(task=2)
    running = {("critical", "t", "a"): 1, ("normal", "t", "a"): 1}
    assert limits.admitted("normal", [lane("t", "a")], running) == {}


def test_a_bulkhead_s_limit_goes_round_between_keys(bounded: Bounded) -> None:
    limits = bounded(bulkhead=1)
    lanes = [lane("t", key) for key in "abc"]
    turns: list[str] = []
    for _ in range(6):
        turns += limits.admitted("normal", lanes, {})
        assert [*limits.admitted("normal", lanes, {})] == turns[-1:]  # to ask takes no turn
        limits.served(turns[-1:])
    assert turns == [lane("t", key).name for key in "abcabc"]
    assert limits.admitted("normal", lanes, {("normal", "t", "z"): 1}) == {}


def test_whoever_runs_less_goes_first(bounded: Bounded) -> None:
    limits = bounded(bulkhead=6)
    running = {("normal", "t", "big"): 5}
    assert limits.admitted("normal", [lane("t", "big"), lane("t", "small")], running) == {lane("t", "small").name: 1}


def test_a_task_that_this_process_does_not_know_runs_one_at_a_time(bounded: Bounded) -> None:
    limits = bounded(bulkhead=9)
    assert limits.admitted("normal", [lane("other")], {("normal", "other", ""): 1}) == {}
    assert limits.admitted("normal", [lane("other")], {}) == {lane("other").name: 1}


def test_a_look_is_bounded(bounded: Bounded) -> None:
    limits = bounded(task=5)
    lanes = [lane("t", f"{number:02}") for number in range(3 * PAGE)]
    first = limits.admitted("normal", lanes, {})
    limits.served(first)
    second = limits.admitted("normal", lanes, {})
    assert len(first) == len(second) == PAGE
    assert not set(first) & set(second)
