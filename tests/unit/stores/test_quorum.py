from __future__ import annotations

from itertools import combinations

import pytest

from perdure.model.storage_errors import CorruptRecord
from perdure.stores.protocol import StoredVersion
from perdure.stores.record import CheckpointKey, CheckpointRecord, Version
from perdure.stores.replicated.quorum import Quorum, judge

KEY = CheckpointKey("j", "main")


def good(seq: int, data: bytes = b"x") -> StoredVersion:
    record = CheckpointRecord("j", "main", seq=seq, fence=1, data=data, saved_at=0.0)
    return StoredVersion(record.version, record=record)


def bad(seq: int) -> StoredVersion:
    return StoredVersion(Version(1, seq), damage=CorruptRecord("it", "checksum"))


@pytest.mark.parametrize("stores", range(1, 8))
def test_quorums_intersect(stores: int) -> None:
    for write in range(stores // 2 + 1, stores + 1):
        quorum = Quorum(stores, write)
        everyone = range(stores)
        for taken in combinations(everyone, quorum.write):
            assert all(set(taken) & set(asked) for asked in combinations(everyone, quorum.read))
            assert all(set(taken) & set(other) for other in combinations(everyone, quorum.write))


@pytest.mark.parametrize(("stores", "write"), [(3, 1), (4, 2), (3, 4), (0, 0), (3, -1)])
def test_numbers_that_are_no_quorum_are_refused(stores: int, write: int) -> None:
    with pytest.raises(ValueError, match="write quorum"):
        Quorum(stores, write)


def test_majority() -> None:
    assert [Quorum.majority(n).write for n in range(1, 8)] == [1, 2, 2, 3, 3, 4, 4]
    assert [Quorum.majority(n).tolerated for n in range(1, 8)] == [0, 0, 1, 1, 2, 2, 3]


def test_the_newest_good_record_wins() -> None:
    reading = judge(KEY, {"a": (good(2), good(1)), "b": (good(3), good(2)), "c": ()})
    assert reading.winner == good(3).record
    assert reading.holders == {"b"}
    assert reading.stale == {"a", "c"}
    assert reading.sound == 3


def test_nothing_anywhere_is_an_answer() -> None:
    reading = judge(KEY, {"a": (), "b": (), "c": ()})
    assert reading.winner is None
    assert reading.consistent
    assert reading.decided(Quorum.majority(3))


def test_a_damaged_newer_copy_is_no_sound_answer() -> None:
    quorum = Quorum.majority(3)
    answers = {"a": (bad(2), good(1)), "c": (good(1),)}
    waiting = judge(KEY, answers, {"b": "down"})
    assert waiting.sound == 1
    assert not waiting.decided(quorum)
    told = judge(KEY, {**answers, "b": (good(2), good(1))})
    assert told.decided(quorum)
    assert told.winner == good(2).record
    assert told.lost is None


def test_when_all_have_answered_the_best_that_is_left_wins_and_the_loss_is_told() -> None:
    reading = judge(KEY, {"a": (bad(2), good(1)), "b": (bad(2), good(1)), "c": ()})
    assert reading.decided(Quorum.majority(3))
    assert reading.winner == good(1).record
    assert reading.lost == Version(1, 2)


def test_a_damaged_older_copy_does_not_spoil_an_answer() -> None:
    reading = judge(KEY, {"a": (good(2), bad(1)), "b": (good(2),)}, {"c": "down"})
    assert reading.sound == 2
    assert reading.to_mend == {"a"}
    assert not reading.consistent


def test_of_two_values_under_one_version_the_more_frequent_wins() -> None:
    reading = judge(KEY, {"a": (good(1, b"z"),), "b": (good(1, b"a"),), "c": (good(1, b"a"),)})
    assert reading.winner == good(1, b"a").record
    assert reading.stale == {"a"}
