"""Durable steps: recorded once, given back to later attempts, never run again after success."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from perdure import JobContext, Perdure, RetryPolicy
from perdure.errors import HandedBack, LeaseLost, LedgerUnavailable, Unserialisable
from perdure.running.steps import StepsChanged
from perdure.stores.encryption.cipher import KeyRing
from support.ledgers import LOSE

Attempts = Callable[..., JobContext]
QUICK = RetryPolicy(max_retries=2, base=0.001, max_delay=0.001)


@dataclass
class Quote:
    cents: int
    at: datetime


class Calls(list[Any]):
    """Remembers what it was called with."""

    def add(self, value: Any) -> Any:
        self.append(value)
        return value

    def quote(self, cents: int) -> Quote:
        self.append(cents)
        return Quote(cents, datetime(2026, 1, 2, tzinfo=UTC))


def test_the_next_attempt_gets_what_the_steps_returned(attempt: Attempts) -> None:
    calls, first = Calls(), attempt()
    expected = [first.step("quote", calls.quote, 5), first.step("plain", calls.add, {"a": [1, None]})]
    assert expected == [Quote(5, datetime(2026, 1, 2, tzinfo=UTC)), {"a": [1, None]}]

    second = attempt(first)
    assert [second.step("quote", calls.quote, 5), second.step("plain", calls.add, 7)] == expected
    assert second.step("new", calls.add, value=9) == 9
    assert calls == [5, {"a": [1, None]}, 9]


def test_each_turn_of_a_loop_is_a_step_of_its_own(attempt: Attempts, app: Perdure) -> None:
    calls, first = Calls(), attempt()
    assert [first.step("send", calls.add, number) for number in range(3)] == [0, 1, 2]
    second = attempt(first)
    assert [second.step("send", calls.add, number) for number in range(4)] == [0, 1, 2, 3]
    assert calls == [0, 1, 2, 3]
    assert [step.name for step in app.ledger.running.steps_of(first.job_id)] == ["send", "send#2", "send#3", "send#4"]


def test_a_step_that_fails_is_not_recorded(attempt: Attempts) -> None:
    first = attempt()
    with pytest.raises(ZeroDivisionError):
        first.step("divide", lambda: 1 / 0)
    assert attempt(first).step("divide", lambda: 4) == 4


def test_a_step_has_a_retry_policy_of_its_own(attempt: Attempts, app: Perdure) -> None:
    tries = []

    def flaky() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError("no")
        return 7

    first = attempt()
    assert first.step("flaky", flaky, retry=QUICK) == 7
    assert [step.tries for step in app.ledger.running.steps_of(first.job_id)] == [3]


def test_another_order_is_told(attempt: Attempts) -> None:
    first = attempt()
    first.step("charge", int)
    first.step("mail", int)
    second = attempt(first)
    with pytest.raises(StepsChanged, match=r"step 1 of job .* is 'mail' now and was 'charge' when it ran"):
        second.step("mail", int)


def test_a_stale_worker_records_nothing(attempt: Attempts, app: Perdure) -> None:
    first = attempt()
    app.ledger.jobs.settle(first.claim, LOSE)
    with pytest.raises(LeaseLost):
        first.step("late", int)
    assert app.ledger.running.steps_of(first.job_id) == []


def test_a_drain_hands_back_behind_the_record(attempt: Attempts) -> None:
    first = attempt(draining=lambda: True)
    with pytest.raises(HandedBack):
        first.step("one", lambda: 1)
    assert attempt(first).step("one", lambda: 2) == 1


def test_a_drain_hands_back_between_two_tries(attempt: Attempts) -> None:
    first = attempt(draining=lambda: True)
    with pytest.raises(HandedBack, match="between two tries"):
        first.step("never", lambda: 1 / 0, retry=QUICK)


def test_a_result_is_held_while_the_ledger_is_away(
    attempt: Attempts, app: Perdure, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, record, away = attempt(), app.ledger.running.record_step, [LedgerUnavailable("away")] * 2

    def at_times(*arguments: Any) -> Any:
        if away:
            raise away.pop()
        return record(*arguments)

    monkeypatch.setattr(app.ledger.running, "record_step", at_times)
    calls = Calls()
    assert first.step("one", calls.add, 1) == 1
    assert calls == [1]
    assert attempt(first).step("one", calls.add, 2) == 1


def test_a_step_in_a_transaction_commits_or_not_with_it(attempt: Attempts, app: Perdure) -> None:
    first = attempt()

    def undone() -> None:
        with first.transaction():
            first.step("undone", lambda: 1)
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - the block's own
        undone()
    assert app.ledger.running.steps_of(first.job_id) == []
    second = attempt(first)
    with second.transaction():
        second.step("done", lambda: 2)
    assert [step.name for step in app.ledger.running.steps_of(first.job_id)] == ["done"]


def test_a_result_that_would_come_back_as_something_else_is_refused(attempt: Attempts) -> None:
    with pytest.raises(Unserialisable, match="the result of step 'quote'"):
        attempt().step("quote", lambda: Quote(1, datetime(2026, 1, 2, tzinfo=UTC)))


def test_results_are_sealed_with_the_rest(app: Perdure, attempt: Attempts) -> None:
    key = KeyRing.generate("k1")
    app.ledger.vault._ring = KeyRing.parse(key) if isinstance(key, str) else key
    first = attempt()
    first.step("secret", lambda: "4111 1111")
    stored = app.ledger.read(lambda c: c.execute(text("SELECT result FROM perdure_steps")).scalar_one())
    assert "4111" not in stored
    assert attempt(first).step("secret", lambda: "other") == "4111 1111"
