"""Who goes next: nobody starves, limits and weights hold."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from perdure.resilience.limits.fairness import choose, plan

counts = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 30))


def test_a_flood_does_not_push_others_back() -> None:
    assert plan({"flood": 5000, "small": 2}, {"flood": 3}, 4) == ["small", "small", "flood", "flood"]


def test_equals_take_turns() -> None:
    assert plan({"a": 9, "b": 9, "c": 9}, {}, 6) == ["a", "b", "c", "a", "b", "c"]
    waiting = {"a": 1, "b": 1, "c": 1}
    assert choose(waiting, {}, last_served={"a": 1}) == "b"
    assert choose(waiting, {}, last_served={"a": 3, "b": 1, "c": 2}) == "b"
    assert plan(waiting, {}, 3, last_served={"a": 1.7e9, "b": 1.6e9}) == ["c", "b", "a"]
    assert choose(waiting, {"c": 1}, last_served={"a": 3, "b": 1}) == "b", "who runs less goes before who waits longer"


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


@given(
    waiting=st.dictionaries(st.text(max_size=3), st.integers(1, 30), min_size=1, max_size=8),
    asks=st.lists(st.integers(1, 3), max_size=60),
    last_served=st.dictionaries(st.text(max_size=3), st.floats(0, 2e9)),
    running=st.integers(0, 2),
)
def test_no_key_starts_twice_before_each_waiting_key_started_once(
    waiting: dict[str, int], asks: list[int], last_served: dict[str, float], running: int
) -> None:
    """Few slots at a time, and what started has ended when the next ones are asked for: the running tell nothing."""
    waiting, served = dict(waiting), dict(last_served)
    since: dict[str, set[str]] = {}
    for slots in asks:
        level = dict.fromkeys(waiting, running)
        for key in plan(waiting, level, slots, last_served=served):
            others = {other for other, count in waiting.items() if count > 0 and other != key}
            assert key not in since or others <= since[key], f"{key} again before {others - since[key]}"
            for seen in since.values():
                seen.add(key)
            since[key] = set()
            waiting[key] -= 1
            served[key] = max(served.values(), default=0.0) + 1
