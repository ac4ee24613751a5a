"""From facts to words."""

from __future__ import annotations

import pytest

from perdure.model.states import JobState
from perdure.model.waiting_reasons import Facts, explain

QUEUED = {
    "state": JobState.QUEUED,
    "task": "t",
    "bulkhead": "normal",
    "now": 100.0,
    "workers": 1,
    "slots": 2,
}


@pytest.mark.parametrize(
    ("facts", "codes"),
    [
        ({}, ["next"]),
        ({"running": 2}, ["busy"]),
        ({"ahead": 3}, ["waiting"]),
        ({"breaker": "payments", "breaker_wait": 9.0}, ["breaker"]),
        ({"limit_key": "a", "task_limit": 2, "task_active": 2}, ["task_limit"]),
        ({"limit_key": "a", "task_limit": 2, "task_active": 1}, ["rate"]),
        ({"workers": 0}, ["no_worker"]),
        ({"paused_by": "ann", "workers": 0}, ["paused", "no_worker"]),
        ({"unknown_since": 50.0}, ["unknown_task"]),
        ({"limit": 2, "running": 2}, ["limit"]),
        ({"unvoted": 2, "voters": 2}, ["next"]),
        ({"unvoted": 2, "voters": 1}, ["no_voter"]),
        ({"deadline": 99.0}, ["expired"]),
        ({"state": JobState.SCHEDULED, "run_at": 160.0}, ["scheduled"]),
        ({"state": JobState.RETRYING, "run_at": 160.0, "error": "boom"}, ["retrying"]),
        ({"state": JobState.RETRYING, "run_at": 160.0, "snoozes": 2}, ["snoozed"]),
        ({"state": JobState.RETRYING, "run_at": 160.0, "paused_by": "ann"}, ["retrying", "paused"]),
        ({"state": JobState.RUNNING, "worker": "w"}, ["running"]),
        ({"state": JobState.DEAD}, ["dead"]),
    ],
)
def test_reasons(facts: dict[str, object], codes: list[str]) -> None:
    assert [reason.code for reason in explain(Facts(**(QUEUED | facts)))] == codes  # type: ignore[arg-type]


def test_words_say_when_and_what_to_do() -> None:
    [retrying] = explain(Facts(**(QUEUED | {"state": JobState.RETRYING, "run_at": 160.0, "error": "boom"})))  # type: ignore[arg-type]
    [no_worker] = explain(Facts(**(QUEUED | {"workers": 0})))  # type: ignore[arg-type]

    [no_voter] = explain(Facts(**(QUEUED | {"unvoted": 3, "voters": 1, "barred": ("w3@a",)})))  # type: ignore[arg-type]

    assert "2 missing. Barred are w3@a" in no_voter.text
    assert "in 60.0 s" in retrying.text
    assert "boom" in retrying.text
    assert "perdure worker normal" in no_worker.text
