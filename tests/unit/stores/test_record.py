from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.model.storage_errors import CorruptRecord, InvalidRecord, MissingKey
from perdure.stores.record import AUTHENTICATED, CheckpointKey, CheckpointRecord, RecordCodec, Version

KEY = b"k" * 32
PLAIN, KEYED = RecordCodec(), RecordCodec(KEY)

names = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.:@+=-]{0,20}\Z")
counters = st.integers(0, 2**63 - 1)
records = st.builds(
    CheckpointRecord,
    job_id=names,
    name=names,
    seq=counters,
    fence=counters,
    data=st.binary(max_size=300),
    saved_at=st.floats(0, 4e9),
)
codecs = st.sampled_from([PLAIN, KEYED])


def record(**changes: object) -> CheckpointRecord:
    given_ = {"job_id": "j-1", "name": "main", "seq": 7, "fence": 2, "data": b"state", "saved_at": 1.5}
    return CheckpointRecord(**{**given_, **changes})  # type: ignore[arg-type]


@given(records, codecs)
def test_a_frame_gives_its_record_back(it: CheckpointRecord, codec: RecordCodec) -> None:
    assert codec.decode(codec.encode(it), it.key, it.version) == it


@given(records, codecs, st.data())
def test_any_changed_byte_is_found(it: CheckpointRecord, codec: RecordCodec, data: st.DataObject) -> None:
    frame = bytearray(codec.encode(it))
    for at in data.draw(st.sets(st.integers(0, len(frame) - 1), min_size=1, max_size=4)):
        frame[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CorruptRecord):
        codec.decode(bytes(frame), it.key)


@given(records, codecs, st.data())
def test_any_cut_or_addition_is_found(it: CheckpointRecord, codec: RecordCodec, data: st.DataObject) -> None:
    frame = codec.encode(it)
    cut = data.draw(st.integers(0, len(frame) - 1))
    for changed in (frame[:cut], frame[cut + 1 :], frame + b"\0", frame[:cut] + b"\0" + frame[cut:]):
        if changed != frame:
            with pytest.raises(CorruptRecord):
                codec.decode(changed, it.key)


@given(records, codecs, st.data())
def test_swapped_bytes_are_found(it: CheckpointRecord, codec: RecordCodec, data: st.DataObject) -> None:
    frame = bytearray(codec.encode(it))
    a, b = data.draw(st.tuples(*[st.integers(0, len(frame) - 1)] * 2).filter(lambda p: frame[p[0]] != frame[p[1]]))
    frame[a], frame[b] = frame[b], frame[a]
    with pytest.raises(CorruptRecord):
        codec.decode(bytes(frame), it.key)


@pytest.mark.parametrize("key", [CheckpointKey("j-2", "main"), CheckpointKey("j-1", "other")])
def test_a_record_in_anothers_place_is_recognised(key: CheckpointKey) -> None:
    with pytest.raises(CorruptRecord, match="misplaced"):
        PLAIN.decode(PLAIN.encode(record()), key)


def test_an_old_record_under_a_newer_versions_name_is_recognised() -> None:
    it = record()
    with pytest.raises(CorruptRecord, match="misplaced"):
        PLAIN.decode(PLAIN.encode(it), it.key, Version(it.fence, it.seq + 1))


def test_a_forged_record_is_found_with_a_key_and_only_then() -> None:
    forged = PLAIN.encode(record(seq=99))
    assert PLAIN.decode(forged, record().key).seq == 99
    with pytest.raises(CorruptRecord, match="forged"):
        KEYED.decode(forged, record().key)
    with pytest.raises(CorruptRecord, match="forged"):
        KEYED.decode(RecordCodec(b"x" * 32).encode(record()), record().key)


def test_a_key_is_rotated() -> None:
    old = KEYED.encode(record())
    rotated = RecordCodec(b"n" * 32, retired_keys=[KEY])
    assert rotated.decode(old, record().key) == record()
    with pytest.raises(CorruptRecord, match="forged"):
        KEYED.decode(rotated.encode(record()), record().key)


def test_records_from_before_the_key_are_read_on_request() -> None:
    lenient = RecordCodec(KEY, accept_unauthenticated=True)
    assert lenient.decode(PLAIN.encode(record()), record().key) == record()


def test_a_missing_key_is_not_taken_for_damage() -> None:
    frame = KEYED.encode(record())
    assert frame[5] == AUTHENTICATED
    with pytest.raises(MissingKey, match="Nothing is lost"):
        PLAIN.decode(frame, record().key)


@pytest.mark.parametrize("size", [15, 65])
def test_a_key_of_the_wrong_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="16-64 bytes"):
        RecordCodec(b"k" * size)


@pytest.mark.parametrize(
    "changes",
    [{"name": ""}, {"name": "../x"}, {"name": ".hidden"}, {"job_id": "a/b"}, {"name": "x" * 129}, {"seq": -1}],
)
def test_what_no_store_can_hold_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidRecord):
        record(**changes)
