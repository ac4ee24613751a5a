"""Majorities and epochs."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from perdure.model.replication import (
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
    synced,
)
from support.thorough import part_of


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
    assert admit(backup, 1, 2, 1) is Admission.APPLY
    assert admit(backup, 1, 1, 0) is Admission.DUPLICATE
    assert admit(backup, 1, 3, 1) is Admission.RESYNC
    backup = fenced(backup, 2)
    with pytest.raises(Fenced, match="epoch 2 has begun"):
        admit(backup, 1, 2, 1)
    assert admit(backup, 2, 2, 1) is Admission.APPLY


def test_what_an_old_primary_wrote_alone_does_not_stay_under_the_new_ones() -> None:
    came_back = applied(ReplicaState(), 1, 1)  # wrote operation 1 of epoch 1 alone
    primary = applied(ReplicaState(), 2, 1)  # operation 1 of epoch 2 is what a majority has
    assert admit(came_back, 2, 1, 0) is Admission.RESYNC
    assert admit(came_back, 2, 2, 2) is Admission.RESYNC
    assert admit(synced(came_back, primary), 2, 2, 2) is Admission.APPLY


def test_the_most_advanced_is_elected_by_a_majority_only() -> None:
    states = {"a": ReplicaState(3, 2, 9), "b": ReplicaState(3, 3, 8), "c": ReplicaState(3, 3, 8)}
    assert elect(states, 3) == ("b", 4)
    assert elect({"a": states["a"], "b": states["b"]}, 3) == ("b", 4)
    with pytest.raises(NoQuorum, match="1 of 3 members"):
        elect({"a": states["a"]}, 3)


class Cluster:
    """Three members with their logs; every primary that was ever promoted goes on writing when it can."""

    def __init__(self) -> None:
        self.logs: dict[str, list[tuple[int, str]]] = {name: [] for name in "abc"}
        self.states = {name: ReplicaState() for name in "abc"}
        self.primaries: dict[int, str] = {}
        self.acknowledged: list[tuple[int, str]] = []

    def promote(self, reachable: set[str]) -> None:
        name, epoch = elect({member: self.states[member] for member in reachable}, 3)
        assert epoch not in self.primaries
        self.primaries[epoch] = name
        leader = self.states[name]
        for member in reachable:
            self.logs[member] = list(self.logs[name])
            self.states[member] = fenced(synced(self.states[member], leader), epoch)

    def write(self, reachable: set[str], label: str) -> None:
        accepted = Counter[int]()
        for epoch, primary in sorted(self.primaries.items()):  # the old ones first: they must not get through
            if primary in reachable and self.states[primary].epoch == epoch:
                accepted[epoch] = self._replicate(epoch, primary, reachable, label)
                if accepted[epoch] >= 2:
                    self.acknowledged.append((epoch, label))
        assert sum(count >= 2 for count in accepted.values()) <= 1

    def _replicate(self, epoch: int, primary: str, reachable: set[str], label: str) -> int:
        before, log = self.states[primary], list(self.logs[primary])
        accepted = 0
        for member in sorted(reachable):
            sequence = before.sequence + 1
            try:
                verdict = admit(self.states[member], epoch, sequence, before.applied_epoch)
            except Fenced:
                continue
            if verdict is Admission.RESYNC:
                self.logs[member], self.states[member] = list(log), synced(self.states[member], before)
                verdict = admit(self.states[member], epoch, sequence, before.applied_epoch)
            assert verdict is Admission.APPLY
            self.logs[member].append((epoch, label))
            self.states[member] = applied(self.states[member], epoch, sequence)
            accepted += 1
        return accepted


@settings(max_examples=part_of(500), deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sets(st.sampled_from("abc"), min_size=2)), max_size=40))
@example([(True, {"a", "b"}), (True, {"b", "c"}), (False, {"b", "c"}), (False, {"a", "b"})])
def test_no_two_primaries_write_to_a_majority_and_nothing_acknowledged_is_lost(
    steps: list[tuple[bool, set[str]]],
) -> None:
    cluster = Cluster()
    for number, (promote, reachable) in enumerate(steps):
        if promote:
            cluster.promote(reachable)
        else:
            cluster.write(reachable, f"op{number}")
        leader, _ = elect(cluster.states, 3)
        assert all(operation in cluster.logs[leader] for operation in cluster.acknowledged)
