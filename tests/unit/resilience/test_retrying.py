"""Retries in place: when they happen, how long they wait, and what stops them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

from perdure.model.retry_policy import RetryPolicy
from perdure.resilience.breaker.events import CircuitOpen
from perdure.resilience.retry.after import retry_after
from perdure.resilience.retry.budget import RetryBudget, RetryBudgetConfig, RetryBudgetEvent
from perdure.resilience.retry.retrying import RetryEvent, Retrying, retrying
from perdure.resilience.service.deadline import deadline


class Down(Exception):
    pass


class Flaky:
    """Fails with the given errors, then answers 7."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors, self.calls = list(errors), 0

    def __call__(self) -> int:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return 7


class Sleeper:
    def __init__(self) -> None:
        self.now, self.waits = 0.0, list[float]()

    def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def sleeper() -> Sleeper:
    return Sleeper()


@pytest.fixture
def make(sleeper: Sleeper) -> Callable[..., Retrying]:
    def make_retrying(budget: RetryBudget | None = None, **policy: Any) -> Retrying:
        options: dict[str, Any] = {"max_retries": 3, "base": 1, "max_delay": 30, "jitter": False} | policy
        return retrying(RetryPolicy(**options), budget=budget, sleep=sleeper, clock=lambda: sleeper.now)

    return make_retrying


def test_repeats_with_backoff_until_it_succeeds(make: Callable[..., Retrying], sleeper: Sleeper) -> None:
    flaky = Flaky(Down(), Down(), Down())
    assert make().call(flaky) == 7
    assert sleeper.waits == [1, 2, 4]


def test_raises_the_last_error_when_retries_are_used_up(make: Callable[..., Retrying]) -> None:
    events: list[RetryEvent] = []
    last, flaky = Down("last"), Flaky(Down(), Down())
    flaky.errors.append(last)
    again = make(max_retries=2)
    again.listen(events.append)
    with pytest.raises(Down) as raised:
        again.call(flaky)
    assert raised.value is last
    assert [event.retry_in for event in events] == [1, 2, None]
    assert events[-1].gave_up == "retries used up"


def test_never_repeats_an_open_breaker(make: Callable[..., Retrying]) -> None:
    flaky = Flaky(CircuitOpen("payments", 0.1))
    with pytest.raises(CircuitOpen):
        make(retry_on=(Exception,)).call(flaky)
    assert flaky.calls == 1


def test_policy_chooses_errors_and_time(make: Callable[..., Retrying], sleeper: Sleeper) -> None:
    with pytest.raises(KeyError):
        make(give_up_on=(KeyError,)).call(Flaky(KeyError()))
    with pytest.raises(Down):
        make(max_elapsed=2.5).call(Flaky(Down(), Down()))
    assert sleeper.waits == [1]


def test_honours_retry_after(make: Callable[..., Retrying], sleeper: Sleeper) -> None:
    slow_down, long = Down(), Down()
    slow_down.retry_after = 9  # type: ignore[attr-defined]
    long.retry_after = 61  # type: ignore[attr-defined]
    assert make().call(Flaky(slow_down)) == 7
    assert sleeper.waits == [9]
    with pytest.raises(Down):
        make().call(Flaky(long))


def test_reads_retry_after_of_http_errors() -> None:
    import httpx

    def error(header: str) -> httpx.HTTPStatusError:
        response = httpx.Response(503, headers={"Retry-After": header})
        return httpx.HTTPStatusError("", request=httpx.Request("GET", "http://x"), response=response)

    assert retry_after(error("120")) == 120
    assert retry_after(error(formatdate(1000, usegmt=True)), now=lambda: 970) == 30
    assert retry_after(error("soon")) is None
    assert retry_after(Down()) is None


def test_a_deadline_leaves_no_time_for_a_wait(make: Callable[..., Retrying], sleeper: Sleeper) -> None:
    flaky = Flaky(Down())
    with deadline(0.5), pytest.raises(Down):
        make().call(flaky)
    assert flaky.calls == 1
    assert sleeper.waits == []


def test_the_budget_bounds_the_retries_of_all(redis_url: str, make: Callable[..., Retrying], sleeper: Sleeper) -> None:
    config = RetryBudgetConfig(capacity=20, cost=5, timeout_cost=10)
    budgets = [RetryBudget(redis_url, "payments", config) for _ in range(2)]
    calls = 0
    for budget in budgets * 3:
        flaky = Flaky(*[Down() for _ in range(9)])
        with pytest.raises(Down):
            make(budget).call(flaky)
        calls += flaky.calls
    assert calls == 6 + 4, "six first attempts, four retries paid for by twenty tokens"
    assert budgets[0].snapshot().tokens == 0
    with pytest.raises(Down):
        make(budgets[0]).call(Flaky(Down()))


def test_the_budget_is_refilled_by_successes(redis_url: str, make: Callable[..., Retrying]) -> None:
    budget = RetryBudget(redis_url, "payments", RetryBudgetConfig(capacity=20))
    with pytest.raises(Down):
        make(budget).call(Flaky(*[Down() for _ in range(9)]))
    assert budget.snapshot().tokens == 5
    assert make(budget).call(Flaky(Down())) == 7
    assert budget.snapshot().tokens == 5, "a retry that succeeds gives back what it cost"
    for _ in range(3):
        make(budget).call(Flaky())
    assert budget.snapshot().tokens == 8
    assert budget.take(TimeoutError()) is None, "a retry after a timeout costs ten"


def test_the_budget_is_local_while_redis_is_away(own_redis: Any) -> None:
    budget = RetryBudget(own_redis.url, "payments", RetryBudgetConfig(capacity=10))
    own_redis.kill()
    denied: list[RetryBudgetEvent] = []
    budget.listen(denied.append)
    assert [budget.take(Down()) for _ in range(3)] == [5, 5, None]
    assert len(denied) == budget.snapshot().denied == 1
    assert not budget.snapshot().shared


def test_async_and_decorator(make: Callable[..., Retrying]) -> None:
    flaky = Flaky(Down())
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    again = Retrying(RetryPolicy(base=1, jitter=False), sleep_async=sleep)

    @again
    async def work() -> int:
        return flaky()

    assert asyncio.run(work()) == 7
    assert waits == [1]
    assert make()(Flaky(Down()).__call__)() == 7


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit()], ids=repr)
def test_what_ends_a_task_or_process_is_retried_in_place_only_where_it_is_named(
    make: Callable[..., Retrying], error: BaseException
) -> None:
    flaky = Flaky(error)
    with pytest.raises(type(error)):
        make().call(flaky)
    assert flaky.calls == 1
    assert make(retry_on=(type(error),)).call(Flaky(error)) == 7
