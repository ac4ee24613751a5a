"""What every CheckpointStore does; each implementation is one parameter of the ``kept`` fixture."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from msgspec.structs import replace
from redis import Redis
from sqlalchemy import Connection, select, update

from perdure.ledger import Ledger
from perdure.ledger.running.checkpoint_store import LedgerStore
from perdure.ledger.schema import checkpoints
from perdure.model.storage_errors import CorruptRecord, InvalidRecord, MissingKey, StaleWrite
from perdure.stores.backends.filesystem import FilesystemStore
from perdure.stores.backends.redis import RedisStore
from perdure.stores.protocol import CheckpointStore, Damage, scan_all
from perdure.stores.record import CheckpointKey, CheckpointRecord, RecordCodec, Version
from perdure.stores.replicated.replicated import ReplicatedStore


@dataclass
class Kept:
    """A store, and a way to damage what it holds behind its back."""

    store: CheckpointStore
    damage: Callable[[CheckpointKey, Version, Callable[[bytes], bytes]], None]
    open: Callable[[RecordCodec], CheckpointStore]
    damages: list[Damage]


def filesystem(url: str) -> Kept:
    seen: list[Damage] = []

    def opened(codec: RecordCodec) -> FilesystemStore:
        return FilesystemStore(url, name="disk", codec=codec, on_damage=seen.append)

    store = opened(RecordCodec())

    def damage(key: CheckpointKey, version: Version, change: Callable[[bytes], bytes]) -> None:
        directory = next(d for d in store._files.names("") if key.job_id in store._files.names(d))
        path = f"{directory}/{key.job_id}/{key.name}/{version.fence:019d}-{version.seq:019d}.ckpt"
        frame = store._files.read(path)
        assert frame is not None
        store._files.write(path, change(frame))

    return Kept(store, damage, opened, seen)


def redis(url: str) -> Kept:
    client, seen = Redis.from_url(url), list[Damage]()

    def damage(key: CheckpointKey, version: Version, change: Callable[[bytes], bytes]) -> None:
        place = f"perdure:checkpoint:{key.job_id}", f"{key.name}/{version.fence:019d}-{version.seq:019d}"
        frame = client.hget(*place)
        assert isinstance(frame, bytes)
        client.hset(place[0], place[1], change(frame))

    def opened(codec: RecordCodec) -> RedisStore:
        return RedisStore.from_url(url, codec=codec, on_damage=seen.append)

    return Kept(opened(RecordCodec()), damage, opened, seen)


def replicated() -> Kept:
    parts = [filesystem(f"memory://{uuid4().hex}") for _ in range(3)]
    seen: list[Damage] = []

    def opened(codec: RecordCodec) -> ReplicatedStore:
        stores = [part.open(codec) for part in parts]
        for n, store in enumerate(stores):
            store._name = f"s{n}"  # type: ignore[attr-defined]
        return ReplicatedStore(stores, on_damage=seen.append, timeout=10, authenticated=True)

    store = opened(RecordCodec())

    def damage(key: CheckpointKey, version: Version, change: Callable[[bytes], bytes]) -> None:
        assert store.drain(10)
        for part in parts:
            part.damage(key, version, change)

    return Kept(store, damage, opened, seen)


def ledger(url: str) -> Kept:
    seen: list[Damage] = []
    ledger = Ledger(url)
    ledger.upgrade()

    def opened(codec: RecordCodec) -> LedgerStore:
        return LedgerStore(ledger, codec=codec, on_damage=seen.append)

    def damage(key: CheckpointKey, version: Version, change: Callable[[bytes], bytes]) -> None:
        c = checkpoints.c
        here = (c.job_id == key.job_id) & (c.name == key.name) & (c.fence == version.fence) & (c.seq == version.seq)

        def replace_data(connection: Connection) -> None:
            frame = connection.execute(select(c.data).where(here)).scalar_one()
            connection.execute(update(checkpoints).where(here).values(data=change(bytes(frame))))

        ledger.transact(replace_data)

    return Kept(opened(RecordCodec()), damage, opened, seen)


@pytest.fixture(params=["local", "memory", "redis", "replicated", "sqlite", "postgres"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    if request.param in ("sqlite", "postgres"):
        return ledger(request.getfixturevalue(f"{request.param}_url"))
    if request.param == "replicated":
        return replicated()
    if request.param == "redis":
        return redis(request.getfixturevalue("redis_url"))
    return filesystem(str(tmp_path / "root") if request.param == "local" else f"memory://{uuid4().hex}")


@pytest.fixture
def store(kept: Kept) -> CheckpointStore:
    return kept.store


def record(fence: int = 1, seq: int = 1, data: bytes = b"state", **more: str) -> CheckpointRecord:
    place = {"job_id": "j-1", "name": "main", **more}
    return CheckpointRecord(**place, seq=seq, fence=fence, data=data, saved_at=12.5)


def flip(frame: bytes) -> bytes:
    return frame[:40] + bytes([frame[40] ^ 1]) + frame[41:]


def test_it_is_a_checkpoint_store(store: CheckpointStore) -> None:
    assert isinstance(store, CheckpointStore)
    assert store.name


def test_what_was_saved_is_loaded(store: CheckpointStore) -> None:
    assert store.load("j-1", "main") is None
    assert store.head("j-1", "main") is None
    store.save(record(data=b"\0\xff binary"))
    assert store.load("j-1", "main") == record(data=b"\0\xff binary")
    assert store.head("j-1", "main") == Version(1, 1)


def test_names_and_jobs_are_apart(store: CheckpointStore) -> None:
    for it in (record(), record(name="main2", seq=5), record(job_id="j-11", seq=6), record(job_id="j", seq=7)):
        store.save(it)
    assert store.load("j-1", "main") == record()
    assert store.load("j-1", "main2") == record(name="main2", seq=5)
    assert store.load("j", "main") == record(job_id="j", seq=7)


@pytest.mark.parametrize(("fence", "seq"), [(2, 4), (1, 5), (1, 99), (0, 0)])
def test_an_older_version_never_replaces_a_newer_one(store: CheckpointStore, fence: int, seq: int) -> None:
    store.save(record(2, 5, b"new"))
    with pytest.raises(StaleWrite) as caught:
        store.save(record(fence, seq, b"old"))
    assert (caught.value.tried, caught.value.stored) == ((fence, seq), (2, 5))
    assert [each.record for each in store.versions("j-1", "main")] == [record(2, 5, b"new")]


def test_a_newer_fence_wins_whatever_its_seq(store: CheckpointStore) -> None:
    store.save(record(2, 500))
    store.save(record(3, 1, b"clean start"))
    assert store.load("j-1", "main") == record(3, 1, b"clean start")


def test_versions_compare_as_numbers_up_to_the_largest(store: CheckpointStore) -> None:
    top = 2**63 - 1
    for seq in (9, 10, 2**53, 2**53 + 1, top - 1, top):
        store.save(record(1, seq))
    with pytest.raises(StaleWrite):
        store.save(record(1, top - 1))
    assert store.head("j-1", "main") == Version(1, top)


def test_saving_again_is_harmless_but_a_version_names_one_value(store: CheckpointStore) -> None:
    store.save(record())
    store.save(record())
    with pytest.raises(StaleWrite, match="needs a new seq"):
        store.save(record(data=b"other"))
    assert store.load("j-1", "main") == record()


def test_the_last_two_versions_are_kept(store: CheckpointStore) -> None:
    for seq in range(1, 6):
        store.save(record(seq=seq))
    assert [each.version for each in store.versions("j-1", "main")] == [(1, 5), (1, 4)]


def test_a_cleared_checkpoint_is_a_version(store: CheckpointStore) -> None:
    store.save(record())
    store.save(record(seq=2, data=b""))
    loaded = store.load("j-1", "main")
    assert loaded is not None
    assert loaded.cleared


@pytest.mark.parametrize("change", [flip, lambda frame: frame[:-5], lambda frame: b""])
def test_a_damaged_newest_gives_the_one_before_and_is_reported(kept: Kept, change: Callable[[bytes], bytes]) -> None:
    kept.store.save(record(seq=1))
    kept.store.save(record(seq=2))
    kept.damage(record().key, Version(1, 2), change)
    damaged, good = kept.store.versions("j-1", "main")
    assert isinstance(damaged.damage, CorruptRecord)
    assert good.record == record(seq=1)
    assert kept.store.load("j-1", "main") == record(seq=1)
    assert {(each.key, each.version) for each in kept.damages} == {(record().key, Version(1, 2))}


def test_no_good_version_gives_none_and_is_reported(kept: Kept) -> None:
    for seq in (1, 2):
        kept.store.save(record(seq=seq))
        kept.damage(record().key, Version(1, seq), flip)
    assert kept.store.load("j-1", "main") is None
    assert {each.version for each in kept.damages} == {(1, 2), (1, 1)}


def test_another_jobs_record_in_this_place_is_damage(kept: Kept) -> None:
    kept.store.save(record())
    foreign = RecordCodec().encode(record(job_id="j-2"))
    kept.damage(record().key, Version(1, 1), lambda _: foreign)
    assert kept.store.load("j-1", "main") is None
    assert "misplaced" in kept.damages[0].reason


def test_damaged_copies_are_dropped_and_good_ones_stay(kept: Kept) -> None:
    kept.store.save(record(seq=1))
    kept.store.save(record(seq=2))
    kept.damage(record().key, Version(1, 2), flip)
    assert kept.store.drop_damaged("j-1", "main") > 0
    assert [each.record for each in kept.store.versions("j-1", "main")] == [record(seq=1)]
    assert kept.store.drop_damaged("j-1", "main") == 0


def test_a_damaged_copy_is_mended_by_saving_it_again(kept: Kept) -> None:
    kept.store.save(record(seq=1))
    kept.store.save(record(seq=2))
    kept.damage(record().key, Version(1, 2), flip)
    kept.store.save(record(seq=2))
    assert [each.record for each in kept.store.versions("j-1", "main")] == [record(seq=2), record(seq=1)]


def test_a_missing_key_is_an_error_and_not_a_missing_checkpoint(kept: Kept) -> None:
    kept.open(RecordCodec(b"k" * 32)).save(record())
    with pytest.raises(MissingKey):
        kept.store.load("j-1", "main")
    with pytest.raises(MissingKey):
        kept.store.drop_damaged("j-1", "main")
    assert kept.open(RecordCodec(b"k" * 32)).load("j-1", "main") == record()


def test_a_deleted_job_is_gone_and_others_stay(store: CheckpointStore) -> None:
    for it in (record(), record(name="second"), record(job_id="j-2")):
        store.save(it)
    store.delete("j-1")
    store.delete("j-1")
    store.delete("never-was")
    assert store.load("j-1", "main") is None
    assert store.load("j-1", "second") is None
    assert store.load("j-2", "main") == record(job_id="j-2")


def test_a_scan_names_every_checkpoint(store: CheckpointStore) -> None:
    assert set(scan_all(store)) == set()
    expected = {CheckpointKey(f"j-{n}", name) for n in range(25) for name in ("a", "b")}
    for key in expected:
        store.save(record(job_id=key.job_id, name=key.name))
        store.save(record(job_id=key.job_id, name=key.name, seq=2))
    assert set(scan_all(store, page_size=7)) == expected
    assert set(scan_all(store)) == expected


@pytest.mark.parametrize("bad", ["", "../../etc", "a/b", ".x"])
def test_bad_names_are_refused_when_reading_too(store: CheckpointStore, bad: str) -> None:
    for call in (store.load, store.head, store.versions, store.drop_damaged):
        with pytest.raises(InvalidRecord):
            call("j-1", bad)
        with pytest.raises(InvalidRecord):
            call(bad, "main")
    with pytest.raises(InvalidRecord):
        store.delete(bad)


def test_racing_writers_leave_the_newest(store: CheckpointStore) -> None:
    start = threading.Barrier(4)

    def write(fence: int) -> None:
        start.wait(10)
        for seq in range(1, 16):
            try:
                store.save(replace(record(), fence=fence, seq=seq))
            except StaleWrite:
                return

    writers = [threading.Thread(target=write, args=(fence,)) for fence in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    assert store.head("j-1", "main") == Version(3, 15)
    assert store.load("j-1", "main") == replace(record(), fence=3, seq=15)


def test_a_working_store_is_healthy(store: CheckpointStore) -> None:
    store.health()
    assert set(scan_all(store)) == set()
