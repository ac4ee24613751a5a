"""The demo's judgement: good evidence keeps all promises, and each kind of bad evidence breaks one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from perdure import JobState
from perdure_workers.demo.checks import Verified
from perdure_workers.demo.drill import Accident
from perdure_workers.demo.judge import Evidence, judge

KILLED = datetime(2026, 1, 1, tzinfo=UTC)


def job(number: int | str, state: Any = JobState.SUCCEEDED, attempt: int = 1) -> Any:
    return SimpleNamespace(id=str(number), task="webhooks.deliver", state=state, attempt=attempt, error="an error")


POISON = job("poison", JobState.DEAD, 7)
GOOD = Evidence(
    submitted=3,
    jobs=[job(1), job(2, attempt=2), POISON],
    accident=Accident(1, "background", KILLED, 1e6, 1, KILLED + timedelta(seconds=4)),
    archive={"files": 9, "bytes": 5e6, "resumed": [{"attempt": 2, "files": 3, "bytes": 1.5e6}], "archive": "a.tar"},
    verified=Verified(9, []),
    poison=POISON,
    replay=job("replay"),
    deliveries=5,
    received={
        "requests": 9,
        "effects": 5,
        "recognised": 1,
        "forged": 0,
        "accepted_twice": 0,
        "events_twice": 0,
        "503": 3,
    },
    good_rows=100,
    bad_rows=7,
    rows=(100, 100),
    rejected=7,
)


def broken(evidence: Any) -> Any:
    return [promise.text for promise in judge(evidence).promises if not promise.is_kept]


def received(**counts: Any) -> Any:
    return {"received": {**GOOD.received, **counts}}


def accident(**values: Any) -> Any:
    assert GOOD.accident is not None
    return {"accident": replace(GOOD.accident, **values)}


def archive(**values: Any) -> Any:
    return {"archive": {**GOOD.archive, **values}}


def test_good_evidence_keeps_all_promises() -> None:
    summary = judge(GOOD)
    assert summary.is_kept
    assert summary.facts["duplicates"] == 0
    assert summary.facts["seconds_from_kill_to_resumption"] == 4
    assert summary.to_json()["ok"] is True


@pytest.mark.parametrize(
    ("change", "promise"),
    [
        ({"jobs": GOOD.jobs[1:]}, "every accepted job ends"),
        ({"jobs": [job(1, JobState.QUEUED), *GOOD.jobs[1:]]}, "every accepted job ends"),
        ({"jobs": [job(1, JobState.DEAD), *GOOD.jobs[1:]]}, "every accepted job ends"),
        ({"accident": None}, "runs again within"),
        (accident(resumed_at=None), "runs again within"),
        (accident(resumed_at=KILLED + timedelta(seconds=60)), "runs again within"),
        (archive(resumed=[]), "goes on from its checkpoint"),
        (archive(resumed=[{"attempt": 2, "files": 0, "bytes": 0.9e6}]), "goes on from its checkpoint"),
        (received(**{"503": 0}), "a failed attempt is tried again"),
        ({"poison": job("poison", JobState.SUCCEEDED)}, "waits as a dead letter"),
        ({"replay": None}, "waits as a dead letter"),
        ({"replay": job("replay", JobState.DEAD)}, "waits as a dead letter"),
        (received(effects=4), "does its work once"),
        (received(accepted_twice=1), "does its work once"),
        (received(events_twice=1), "does its work once"),
        (received(forged=1), "does its work once"),
        ({"rows": (101, 100)}, "exactly once"),
        ({"rows": (99, 99)}, "exactly once"),
        ({"rejected": 6}, "exactly once"),
        ({"verified": None}, "manifest is true"),
        ({"verified": Verified(8, ["a"])}, "manifest is true"),
        ({"verified": Verified(8, [])}, "manifest is true"),
    ],
)
def test_each_kind_of_bad_evidence_breaks_its_promise(change: Any, promise: Any) -> None:
    found = broken(replace(GOOD, **change))
    assert [text for text in found if promise in text]


def test_a_demo_in_which_nothing_worked_can_be_judged() -> None:
    nothing = replace(GOOD, jobs=[], accident=None, archive={}, verified=None, replay=None, rows=(0, 0), rejected=0)
    assert len(broken(nothing)) == 7
