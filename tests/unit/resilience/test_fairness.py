"""Who goes next: nobody starves, limits and weights hold."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from perdure.resilience.fairness import choose, plan

counts = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 30))


def test_a_flood_does_not_push_others_back() -> None:
    assert plan({"flood": 5000, "small": 2}, {"flood": 3}, 4) == ["small", "small", "flood", "flood"]


def test_equals_take_turns() -> None:
    assert plan({"a": 9, "b": 9, "c": 9}, {}, 6) == ["a", "b", "c", "a", "b", "c"]
    assert choose({"a": 1, "b": 1, "c": 1}, {}, after="a") == "b"
    assert choose({"a": 1, "b": 1, "c": 1}, {}, after="c") == "a"


def test_limits_and_weights() -> None:
    assert choose({"a": 1}, {"a": 2}, limits={"a": 2}) is None
    assert Counter(plan({"a": 99, "b": 99}, {}, 40, weights={"a": 3})) == {"a": 30, "b": 10}


@given(waiting=counts, running=counts, slots=st.integers(0, 40), limit=st.integers(0, 10))
def test_plan_uses_every_slot_it_may_and_levels_the_keys(
    waiting: dict[str, int], running: dict[str, int], slots: int, limit: int
) -> None:
    limits = dict.fromkeys("abcde", limit)
    chosen = Counter(plan(waiting, running, slots, limits=limits))
    room = {key: min(count, max(0, limit - running.get(key, 0))) for key, count in waiting.items()}
    assert all(chosen[key] <= room.get(key, 0) for key in chosen)
    assert sum(chosen.values()) == min(slots, sum(room.values()))
    after = {key: running.get(key, 0) + chosen[key] for key in waiting}
    for poor in waiting:
        if chosen[poor] < room[poor]:  # it could have had more: then nobody who got something has more than one above
            assert all(after[rich] <= after[poor] + 1 for rich in chosen)
