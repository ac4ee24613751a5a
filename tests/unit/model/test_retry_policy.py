"""Delays stay within their bounds, presets are those of the documentation, and policies say what is worth a retry."""

from __future__ import annotations

import asyncio
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure import RetryPolicy
from perdure.errors import InvalidJobDefinition


@pytest.mark.parametrize(
    ("name", "max_retries", "base", "max_delay"),
    [("none", 0, 1.0, 30.0), ("fast", 2, 0.1, 1.0), ("standard", 3, 1.0, 30.0), ("slow", 5, 5.0, 300.0)],
)
def test_presets(name: str, max_retries: int, base: float, max_delay: float) -> None:
    policy = RetryPolicy.named(name)
    assert (policy.max_retries, policy.base, policy.max_delay, policy.jitter) == (max_retries, base, max_delay, True)


@pytest.mark.parametrize(
    ("name", "bounds"),
    [("fast", [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]), ("standard", [1, 2, 4, 8, 16, 30]), ("slow", [5, 10, 20, 40, 80, 160, 300])],
)
def test_the_bound_doubles_up_to_the_longest(name: str, bounds: list[float]) -> None:
    preset = RetryPolicy.named(name)
    policy = RetryPolicy(preset.max_retries, preset.base, preset.max_delay, jitter=False)
    assert [policy.delay(number) for number in range(1, len(bounds) + 1)] == pytest.approx(bounds)


@given(base=st.floats(0, 1e4), longest=st.floats(0, 1e6), number=st.integers(1, 10_000), seed=st.integers(0, 2**32))
def test_a_delay_is_within_its_bounds(base: float, longest: float, number: int, seed: int) -> None:
    delay = RetryPolicy(3, base, longest).delay(number, random.Random(seed))
    assert 0 <= delay <= longest
    assert math.isfinite(delay)
    if number < 60:
        assert delay <= base * 2 ** (number - 1) * (1 + 1e-9)


def test_the_jitter_is_full() -> None:
    rng = random.Random(1)
    delays = [RetryPolicy.named("standard").delay(3, rng) for _ in range(2_000)]
    assert min(delays) < 0.1
    assert max(delays) > 3.9
    assert sum(delays) / len(delays) == pytest.approx(2.0, abs=0.15)


class Refused(ConnectionError):
    pass


def test_retry_on_and_give_up_on() -> None:
    policy = RetryPolicy(retry_on=(ConnectionError, TimeoutError), give_up_on=(Refused,))
    assert policy.retries(ConnectionResetError())
    assert policy.retries(TimeoutError())
    assert not policy.retries(Refused())
    assert not policy.retries(ValueError())
    assert RetryPolicy().retries(ValueError())


class Panic(BaseException):
    """As Rust extensions raise them."""


@pytest.mark.parametrize("error", [asyncio.CancelledError(), Panic(), BaseExceptionGroup("both", [Panic()])], ids=repr)
def test_what_derives_from_base_exception_alone_is_retried_like_exceptions(error: BaseException) -> None:
    assert RetryPolicy().retries(error)
    assert not RetryPolicy(give_up_on=(type(error),)).retries(error)
    assert not RetryPolicy(give_up_on=(BaseException,)).retries(error)
    assert not RetryPolicy(retry_on=(OSError,)).retries(error)
    assert RetryPolicy(retry_on=(type(error),)).retries(error)


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), SystemExit(), GeneratorExit()], ids=repr)
def test_what_ends_a_process_is_not_retried_unless_it_is_named(ending: BaseException) -> None:
    assert not RetryPolicy().retries(ending)
    assert RetryPolicy(retry_on=(type(ending),)).retries(ending)


def test_a_single_type_is_fine_and_types_become_a_tuple() -> None:
    assert RetryPolicy(retry_on=OSError).retry_on == (OSError,)  # type: ignore[arg-type]
    assert RetryPolicy(give_up_on=[OSError, KeyError]).give_up_on == (OSError, KeyError)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_retries": -1},
        {"base": -0.1},
        {"max_delay": -1},
        {"max_elapsed": -1},
        {"base": float("nan")},
        {"max_delay": float("inf")},
        {"retry_on": (int,)},
        {"retry_on": ("ValueError",)},
        {"give_up_on": ValueError()},
        {"max_retries": "3"},
        {"max_retries": 1.5},
    ],
    ids=repr,
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidJobDefinition, match=next(iter(wrong))):
        RetryPolicy(**wrong)  # type: ignore[arg-type]


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(InvalidJobDefinition, match=r"'fats' is no preset. Did you mean 'fast'\? Presets: none, fast"):
        RetryPolicy.named("fats")
    policy = RetryPolicy(max_retries=9)
    assert RetryPolicy.named(policy) is policy
