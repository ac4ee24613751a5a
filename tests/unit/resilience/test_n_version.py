"""Several versions of a function are called at once, and more than half of all decide."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from perdure.errors import SettingsError
from perdure.model.replication import NoQuorum
from perdure.resilience import NVersion, Outvoted, VoteConfig

from .conftest import wait_until

Call = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def called(request: pytest.FixtureRequest) -> Call:
    """A function that calls a vote, from a thread or from an event loop."""

    def call(vote: NVersion[..., Any], *args: Any) -> Any:
        return vote.call(*args) if request.param == "sync" else asyncio.run(vote.call_async(*args))

    return call


@pytest.fixture
def released() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def right(n: int) -> int:
    return n * 2


async def right_too(n: int) -> int:
    return n * 2


def wrong(n: int) -> int:
    return n * 3


def fails(n: int) -> int:
    raise ConnectionError("no answer")


def test_the_majority_s_result_counts_and_a_liar_is_told_of(called: Call) -> None:
    vote: NVersion[[int], Any] = NVersion("double", {"a": right, "b": right_too, "c": wrong})
    told: list[Outvoted] = []
    vote.listen(told.append)
    assert called(vote, 21) == 42
    wait_until(lambda: vote.snapshot().outvoted["c"] or called(vote, 21) != 42, "the liar to be heard")
    assert {event.version for event in told} == {"c"}


@pytest.mark.parametrize("versions", [(right, right_too, fails), (fails, right, right)])
def test_a_version_that_fails_has_no_vote(called: Call, versions: Any) -> None:
    vote: NVersion[[int], Any] = NVersion("double", dict(zip("abc", versions, strict=True)))
    assert called(vote, 1) == 2
    assert set(vote.snapshot().outvoted.values()) == {0}


def test_one_that_hangs_is_not_waited_for(released: threading.Event) -> None:
    vote: NVersion[[int], Any] = NVersion(
        "double", {"hangs": lambda n: released.wait(60) or n, "a": right, "b": right}, VoteConfig(timeout=50)
    )
    assert vote.call(1) == 2
    assert not released.is_set()


def test_a_coroutine_that_hangs_is_cancelled() -> None:
    ended: list[str] = []

    async def hangs(n: int) -> int:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("cancelled")
        return n

    vote: NVersion[[int], Any] = NVersion("double", {"hangs": hangs, "a": right_too, "b": right_too})
    assert asyncio.run(vote.call_async(1)) == 2
    assert ended == ["cancelled"]


def test_without_a_majority_it_says_who_said_what(called: Call, released: threading.Event) -> None:
    vote: NVersion[[int], Any] = NVersion("double", {"a": right, "b": wrong, "c": fails})
    with pytest.raises(NoQuorum, match=r"no 2 of 3 versions agree \(a: another result.*c: ConnectionError: no answer\)"):
        called(vote, 1)
    late: NVersion[[int], Any] = NVersion(
        "double", {"a": right, "b": lambda n: released.wait(60), "c": fails}, VoteConfig(timeout=0.2)
    )
    with pytest.raises(NoQuorum, match="b: no answer in time"):
        late.call(1)


def test_a_version_that_lies_too_often_is_asked_no_more_until_it_is_trusted() -> None:
    calls: list[int] = []

    def liar(n: int) -> int:
        calls.append(n)
        return -n

    gate = threading.Barrier(3)

    def together(function: Callable[[int], int]) -> Callable[[int], int]:
        def run(n: int) -> int:
            if "c" not in vote.snapshot().barred:
                gate.wait(30)  # so that the liar is heard before anybody decides without it
            return function(n)

        return run

    vote: NVersion[[int], Any] = NVersion(
        "double", {"a": together(right), "b": together(right), "c": together(liar)}, VoteConfig(max_outvoted=2)
    )
    for times in (1, 2):
        assert vote.call(1) == 2
        wait_until(lambda times=times: vote.snapshot().outvoted["c"] == times, "the liar to be heard")
    assert vote.snapshot().barred == ("c",)
    assert vote.call(5) == 10
    assert calls == [1, 1]
    vote.trust("c")
    assert vote.snapshot().barred == ()
    with pytest.raises(KeyError, match="no version 'd'"):
        vote.trust("d")


def test_what_is_compared_may_be_less_than_the_result(called: Call) -> None:
    def near(noise: float) -> Callable[[float], dict[str, float]]:
        return lambda x: {"value": x + noise}

    versions = {"a": near(1e-9), "b": near(-1e-9), "c": near(1.0)}
    vote: NVersion[[int], Any] = NVersion("near", versions, compare=lambda result: round(result["value"], 3))
    assert round(called(vote, 2.0)["value"], 3) == 2.0
    with pytest.raises(NoQuorum, match="TypeError"):  # JSON has no form of it
        called(NVersion("objects", dict.fromkeys("abc", lambda n: object())), 1)


def test_a_vote_without_versions_or_with_nonsense_is_refused() -> None:
    with pytest.raises(SettingsError, match="has no versions"):
        NVersion("none", {})
    with pytest.raises(SettingsError, match="timeout must be above 0; max_outvoted must be 1 or more"):
        VoteConfig(timeout=0, max_outvoted=0)
