"""Majorities and epochs."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.resilience.replication import (
    Admission,
    Answer,
    Fenced,
    NoQuorum,
    ReplicaState,
    VerdictKind,
    admit,
    applied,
    canonical,
    elect,
    fenced,
    majority,
)


def test_two_of_three_win_and_the_third_is_named() -> None:
    verdict = majority({"w1": Answer({"b": 1, "a": 2}), "w2": Answer(7), "w3": Answer({"a": 2, "b": 1})}, 3)
    assert verdict.kind == "majority"
    assert verdict.result == {"a": 2, "b": 1}
    assert (verdict.agreeing, verdict.disagreeing) == (("w1", "w3"), ("w2",))


def test_decided_before_all_answered() -> None:
    assert majority({"w1": Answer(1)}, 3).kind == "undecided"
    assert majority({"w1": Answer(1), "w2": Answer(1)}, 3).kind == "majority"
    assert majority({"w1": Answer(1), "w2": Answer(2)}, 3).kind == "undecided"


def test_no_quorum() -> None:
    verdict = majority({"w1": Answer(1), "w2": Answer(2), "w3": Answer(error="MemoryError")}, 3)
    assert (verdict.kind, verdict.disagreeing, verdict.failed) == ("no_quorum", ("w1", "w2"), ("w3",))
    assert majority({"w1": Answer(error="x"), "w2": Answer(error="x")}, 3).kind == "no_quorum"
    assert majority({"w1": Answer(1), "w2": Answer(2)}, 2).kind == "no_quorum", "half is no majority"


def test_canonical_forms_tell_types_apart() -> None:
    assert len({canonical(value) for value in (1, 1.0, True, "1", [1], None)}) == 6
    with pytest.raises(ValueError, match="JSON"):
        canonical(float("nan"))


answers = st.dictionaries(
    st.sampled_from("abcdefg"),
    st.one_of(st.builds(Answer, st.integers(0, 2)), st.just(Answer(error="x"))),
)


@given(got=answers, missing=st.integers(0, 4), late=st.lists(st.integers(0, 2), min_size=4, max_size=4))
def test_a_verdict_stands_whatever_comes_later(got: dict[str, Answer], missing: int, late: list[int]) -> None:
    n = len(got) + missing
    if n == 0:
        return
    early = majority(got, n)
    final = majority(got | {f"late{i}": Answer(late[i]) for i in range(missing)}, n)
    assert final.kind is not VerdictKind.UNDECIDED
    if early.kind is not VerdictKind.UNDECIDED:
        assert (final.kind, final.result) == (early.kind, early.result)
    if final.kind is VerdictKind.MAJORITY:
        assert len(final.agreeing) > n / 2


def test_an_old_primary_is_fenced_off() -> None:
    backup = applied(ReplicaState(), 1, 1)
    assert admit(backup, 1, 2) is Admission.APPLY
    assert admit(backup, 1, 1) is Admission.DUPLICATE
    assert admit(backup, 1, 3) is Admission.GAP
    backup = fenced(backup, 2)
    with pytest.raises(Fenced, match="epoch 2 has begun"):
        admit(backup, 1, 2)
    assert admit(backup, 2, 2) is Admission.APPLY


def test_the_most_advanced_is_elected_by_a_majority_only() -> None:
    states = {"a": ReplicaState(3, 2, 9), "b": ReplicaState(3, 3, 8), "c": ReplicaState(3, 3, 8)}
    assert elect(states, 3) == ("b", 4)
    assert elect({"a": states["a"], "b": states["b"]}, 3) == ("b", 4)
    with pytest.raises(NoQuorum, match="1 of 3 members"):
        elect({"a": states["a"]}, 3)


@given(st.lists(st.tuples(st.booleans(), st.sets(st.sampled_from("abc"), min_size=2)), max_size=30))
def test_no_two_primaries_write_to_a_majority_and_nothing_acknowledged_is_lost(
    steps: list[tuple[bool, set[str]]],
) -> None:
    """Each step promotes (True) or writes among the members that can be reached; old primaries go on writing too."""
    logs: dict[str, list[tuple[int, str]]] = {name: [] for name in "abc"}
    states = {name: ReplicaState() for name in "abc"}
    primaries: dict[int, str] = {}
    acknowledged: list[tuple[int, str]] = []
    for number, (promote, reachable) in enumerate(steps):
        if promote:
            name, epoch = elect({r: states[r] for r in reachable}, 3)
            assert epoch not in primaries
            primaries[epoch] = name
            for member in reachable:  # learn the epoch, and catch up from the new primary
                logs[member] = list(logs[name])
                states[member] = fenced(
                    ReplicaState(states[member].epoch, states[name].applied_epoch, states[name].sequence), epoch
                )
            continue
        accepted = Counter[int]()
        for epoch, primary in sorted(primaries.items()):  # the old ones first: they must not get through
            if primary not in reachable or states[primary].epoch != epoch:
                continue
            operation, sequence = (epoch, f"op{number}"), states[primary].sequence + 1
            for member in reachable:
                try:
                    verdict = admit(states[member], epoch, sequence)
                except Fenced:
                    continue
                if verdict is Admission.APPLY:
                    logs[member].append(operation)
                    states[member] = applied(states[member], epoch, sequence)
                    accepted[epoch] += 1
            if accepted[epoch] >= 2:
                acknowledged.append(operation)
        assert sum(count >= 2 for count in accepted.values()) <= 1
    if steps and primaries:
        leader, _ = elect(states, 3)
        assert all(operation in logs[leader] for operation in acknowledged)
