"""Where jobs wait: what holds some back has a lane of its own."""

from __future__ import annotations

from perdure.model.lanes import LONGEST, PLAIN, REPLICAS, lane_of


def test_what_nothing_holds_back_waits_in_the_plain_lane_which_sorts_first() -> None:
    others = [
        lane_of("t", limit_key="", breaker=None),
        lane_of("t", limit_key="a", breaker="payments"),
        lane_of("t", limit_key=None, breaker="payments"),
        lane_of("t", limit_key=None, breaker=None, is_replica=True),
    ]
    assert lane_of("t", limit_key=None, breaker=None) == PLAIN
    assert all(other > PLAIN for other in others)
    assert len(set(others)) == 4


def test_tasks_share_the_lane_of_their_breaker_and_no_lane_of_a_limit() -> None:
    assert lane_of("a", limit_key=None, breaker="b") == lane_of("c", limit_key=None, breaker="b")
    assert lane_of("a", limit_key="", breaker="b") != lane_of("c", limit_key="", breaker="b")
    assert lane_of("a", limit_key="b:c", breaker=None) != lane_of("a:b", limit_key="c", breaker=None)


def test_a_limit_comes_before_a_breaker_and_a_replica_before_both() -> None:
    assert lane_of("t", limit_key="k", breaker="b") == lane_of("t", limit_key="k", breaker=None)
    assert lane_of("t", limit_key="k", breaker="b", is_replica=True) == REPLICAS


def test_the_longest_names_fit_and_stay_different() -> None:
    task, key = "t" * 255, "k" * 254
    first, second = (lane_of(task, limit_key=key + end, breaker=None) for end in "ab")
    assert first != second
    assert len(first) <= LONGEST
    assert len(lane_of(task, limit_key=None, breaker="b" * 1000)) == LONGEST
