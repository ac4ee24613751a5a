"""Which jobs get their tickets: pure decisions on counts."""

from __future__ import annotations

from perdure.ledger.limits import LimitCount
from perdure.limits import PAGE, Share, shares


def given(found: list[Share]) -> dict[tuple[str, str], int]:
    return {(share.task, share.key): share.count for share in found}


def count(task: str, key: str, waiting: int, active: int = 0, bulkhead: str = "normal") -> LimitCount:
    return LimitCount(bulkhead, task, key, waiting, active)


def test_a_task_s_limit_leaves_what_is_not_taken_up() -> None:
    found = shares([count("t", "", 10, 1)], lambda task: 3, lambda bulkhead: None)
    assert given(found) == {("t", ""): 2}


def test_a_bulkhead_s_limit_is_shared_fairly_between_keys() -> None:
    counts = [count("t", "big", 5000), count("t", "small", 3)]
    assert given(shares(counts, lambda task: None, lambda bulkhead: 6)) == {("t", "big"): 3, ("t", "small"): 3}


def test_what_runs_already_counts_for_fairness() -> None:
    counts = [count("t", "big", 5000, 4), count("t", "small", 3)]
    assert given(shares(counts, lambda task: None, lambda bulkhead: 6)) == {("t", "small"): 2}


def test_a_key_s_limit_counts_in_all_bulkheads() -> None:
    counts = [count("t", "a", 5, 0, "critical"), count("t", "a", 5, 1, "normal")]
    found = shares(counts, lambda task: 3, lambda bulkhead: None)
    assert sum(share.count for share in found) == 2


def test_nothing_goes_beyond_a_reached_limit_and_a_look_is_bounded() -> None:
    assert shares([count("t", "", 10, 9)], lambda task: 3, lambda bulkhead: 4) == []
    assert given(shares([count("t", "", 10_000)], lambda task: None, lambda bulkhead: None)) == {("t", ""): PAGE}
