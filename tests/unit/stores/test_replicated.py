from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from perdure.model.storage_errors import InsufficientReplicas, MissingKey, StaleWrite
from perdure.stores.protocol import CheckpointStore, scan_all
from perdure.stores.record import CheckpointKey, CheckpointRecord, RecordCodec, Version
from perdure.stores.replicated.replica import MAX_CALLS, Replica
from perdure.stores.replicated.replicated import ReplicatedStore
from perdure.stores.replicated.report import ReplicaReport

from .faulty import FaultyStore, Mode

KEY = CheckpointKey("j", "main")


def record(seq: int = 1, fence: int = 1, data: bytes = b"state", job_id: str = "j") -> CheckpointRecord:
    return CheckpointRecord(job_id, "main", seq=seq, fence=fence, data=data, saved_at=0.0)


class Cluster:
    def __init__(
        self, size: int = 3, codec: RecordCodec | None = None, timeout: float = 5.0, *, authenticated: bool = True
    ) -> None:
        self.parts = [FaultyStore(f"s{n}", codec) for n in range(size)]
        self.reports: list[ReplicaReport] = []
        self.store = ReplicatedStore(
            self.parts, timeout=timeout, on_report=self.reports.append, authenticated=authenticated
        )

    def save(self, it: CheckpointRecord) -> None:
        self.store.save(it)
        assert self.store.drain(10)

    def only(self, *up: int) -> None:
        for n, part in enumerate(self.parts):
            part.mode = Mode.UP if n in up else Mode.DOWN

    def held(self) -> list[CheckpointRecord | None]:
        return [part.inner.load(*KEY) for part in self.parts]


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_a_save_reaches_all_stores(cluster: Cluster) -> None:
    cluster.save(record())
    assert cluster.held() == [record()] * 3
    assert cluster.store.load(*KEY) == record()
    assert cluster.reports == []


@pytest.mark.parametrize("mode", [Mode.DOWN, Mode.LOST_ANSWER, Mode.FROZEN])
@pytest.mark.parametrize("size", [3, 5])
def test_a_minority_at_fault_goes_unnoticed_by_the_job(size: int, mode: Mode) -> None:
    cluster = Cluster(size)
    for part in cluster.parts[: size // 2]:
        part.mode = mode
    for seq in range(1, 4):
        cluster.save(record(seq))
        assert cluster.store.load(*KEY) == record(seq)


def test_a_majority_down_refuses_a_save_and_nothing_of_it_is_ever_seen(cluster: Cluster) -> None:
    cluster.save(record(1))
    cluster.only(0)
    with pytest.raises(InsufficientReplicas, match=r"1 of the needed 2.*s1 is down.*s2 is down"):
        cluster.store.save(record(2))
    cluster.only(0, 1, 2)
    assert cluster.held() == [record(1)] * 3
    assert cluster.store.load(*KEY) == record(1)


def test_a_majority_down_refuses_a_load_instead_of_guessing(cluster: Cluster) -> None:
    cluster.only(0, 1)
    cluster.save(record(1))
    cluster.only(2)
    with pytest.raises(InsufficientReplicas):
        cluster.store.load(*KEY)


def test_stores_that_fail_during_a_save_leave_an_open_outcome_that_no_reader_sees_twice_differently(
    cluster: Cluster,
) -> None:
    cluster.save(record(1))
    cluster.parts[0].inner.save(record(2))  # what a save leaves whose writer, or whose other stores, died
    cluster.only(1, 2)
    assert cluster.store.load(*KEY) == record(1)
    cluster.only(0, 1)
    assert cluster.store.load(*KEY) == record(2)
    assert cluster.parts[1].inner.load(*KEY) == record(2)
    cluster.only(1, 2)
    assert cluster.store.load(*KEY) == record(2)


def test_a_value_that_cannot_be_brought_to_a_quorum_is_not_returned() -> None:
    cluster = Cluster()
    cluster.save(record(1))
    cluster.parts[0].inner.save(record(2))
    refusing = cluster.parts[1]
    original, refusing.inner.save = refusing.inner.save, _full  # type: ignore[method-assign]
    cluster.parts[2].mode = Mode.DOWN
    with pytest.raises(InsufficientReplicas, match="no room"):
        cluster.store.load(*KEY)
    refusing.inner.save = original  # type: ignore[method-assign]
    assert cluster.store.load(*KEY) == record(2)


def _full(record: CheckpointRecord) -> None:
    raise OSError("no room")


def test_a_stale_writer_is_refused_and_writes_nowhere(cluster: Cluster) -> None:
    cluster.parts[2].mode = Mode.DOWN
    cluster.save(record(1, fence=2))
    cluster.parts[2].mode = Mode.UP
    with pytest.raises(StaleWrite) as caught:
        cluster.store.save(record(9, fence=1))
    assert caught.value.stored == (2, 1)
    assert record(9, fence=1) not in cluster.held()


def test_a_version_used_twice_is_refused(cluster: Cluster) -> None:
    cluster.save(record(1))
    cluster.save(record(1))
    with pytest.raises(StaleWrite, match="needs a new seq"):
        cluster.store.save(record(1, data=b"other"))


def test_a_load_repairs_stale_and_damaged_copies_and_reports_them(cluster: Cluster) -> None:
    cluster.save(record(1))
    cluster.parts[0].mode = Mode.DOWN
    cluster.save(record(2))
    cluster.parts[0].mode = Mode.UP
    cluster.parts[1].damage_newest(KEY)
    cluster.reports.clear()
    assert cluster.store.load(*KEY) == record(2)
    assert cluster.held() == [record(2)] * 3
    (report,) = cluster.reports
    assert report.stale == {"s0", "s1"}
    assert [each.store for each in report.damaged] == ["s1"]
    assert report.repaired == {"s0", "s1"}
    assert cluster.store.verify().divergent == 0


def test_acknowledged_state_is_not_given_up_while_a_store_that_may_have_it_is_away(cluster: Cluster) -> None:
    cluster.save(record(1))
    cluster.parts[2].mode = Mode.DOWN
    cluster.save(record(2))
    cluster.parts[0].damage_newest(KEY)
    cluster.only(0, 2)  # the damaged one, and the one that missed it
    with pytest.raises(InsufficientReplicas, match="damaged"):
        cluster.store.load(*KEY)
    cluster.only(0, 1, 2)
    assert cluster.store.load(*KEY) == record(2)


def test_when_every_copy_is_damaged_the_version_before_is_returned_and_the_loss_reported(cluster: Cluster) -> None:
    cluster.save(record(1))
    cluster.save(record(2))
    for part in cluster.parts:
        part.damage_newest(KEY)
    assert cluster.store.load(*KEY) == record(1)
    assert cluster.reports[-1].lost == Version(1, 2)
    cluster.save(record(2, fence=2))
    assert cluster.store.load(*KEY) == record(2, fence=2)


def forge(cluster: Cluster) -> None:
    forged = record(99, fence=99, data=b"forged")
    cluster.parts[0].put(KEY, forged.version, RecordCodec().encode(forged))


def test_a_forged_newer_record_is_found_with_a_key() -> None:
    cluster = Cluster(codec=RecordCodec(b"k" * 32))
    cluster.save(record(1))
    forge(cluster)
    cluster.save(record(2))
    assert cluster.store.load(*KEY) == record(2)
    assert "forged" in cluster.reports[-1].damaged[0].reason
    assert cluster.held() == [record(2)] * 3


def test_a_missing_key_is_an_error_of_its_own() -> None:
    keyed = Cluster(codec=RecordCodec(b"k" * 32))
    keyed.save(record())
    for part in keyed.parts:
        part.inner._codec = RecordCodec()
    with pytest.raises(MissingKey):
        keyed.store.load(*KEY)


def test_a_stuck_store_does_not_hold_a_save_up_and_catches_up(cluster: Cluster) -> None:
    stuck = cluster.parts[1]
    stuck.mode = Mode.STUCK
    for seq in range(1, 5):
        cluster.store.save(record(seq))
    assert cluster.parts[0].inner.load(*KEY) == record(4)
    stuck.released.set()
    assert cluster.store.drain(10)
    assert stuck.inner.load(*KEY) == record(4)
    assert cluster.reports == []


def test_a_stuck_store_costs_a_load_its_timeout_and_is_named() -> None:
    cluster = Cluster(timeout=0.2)
    cluster.save(record())
    cluster.parts[1].mode = Mode.STUCK
    assert cluster.store.load(*KEY) == record()
    assert cluster.reports[-1].failed == {"s1": "no answer within 0.2 s"}
    assert cluster.store.statuses() == {"s0": None, "s1": "no answer within 0.2 s", "s2": None}
    cluster.parts[1].released.set()
    assert cluster.store.drain(10)


def test_stores_are_asked_at_the_same_time() -> None:
    cluster = Cluster()
    together = threading.Barrier(3, timeout=10)

    class Meeting(FaultyStore):
        def versions(self, job_id: str, name: str) -> Any:  # type: ignore[no-untyped-def]
            together.wait()
            return super().versions(job_id, name)

    store = ReplicatedStore([Meeting(f"m{n}") for n in range(3)], timeout=10)
    assert store.load(*KEY) is None
    assert cluster.reports == []


def test_a_store_with_too_many_calls_in_flight_is_refused_at_once() -> None:
    part = FaultyStore("s")
    part.mode = Mode.STUCK
    replica = Replica(part)
    futures = [replica.start(lambda s: s.health()) for _ in range(MAX_CALLS)]
    with pytest.raises(Exception, match="stuck"):
        replica.start(lambda s: s.health()).result(0)
    part.released.set()
    for future in futures:
        future.result(10)
    replica.start(lambda s: s.health()).result(10)


def test_a_store_that_was_away_catches_up_by_repair(cluster: Cluster) -> None:
    cluster.parts[0].mode = Mode.DOWN
    for n in range(20):
        cluster.save(record(job_id=f"j{n}"))
    cluster.parts[0].mode = Mode.UP
    assert cluster.store.verify().divergent == 20
    seen: list[int] = []
    summary = cluster.store.repair(progress=lambda s: seen.append(s.checked))
    assert (summary.checked, summary.divergent, summary.repaired, summary.unrepaired) == (20, 20, 20, {})
    assert seen == list(range(1, 21))
    assert set(scan_all(cluster.parts[0])) == {CheckpointKey(f"j{n}", "main") for n in range(20)}
    assert cluster.store.verify().divergent == 0


def test_verify_changes_nothing_and_tells_what_it_found(cluster: Cluster) -> None:
    cluster.save(record(1))
    cluster.parts[2].damage_newest(KEY)
    for _ in range(2):
        (reading,) = cluster.store.verify().readings
        assert [each.store for each in reading.damaged] == ["s2"]
    assert cluster.reports == []


def test_repair_tells_what_it_cannot_mend(cluster: Cluster) -> None:
    cluster.save(record(1))
    cluster.parts[2].mode = Mode.DOWN
    summary = cluster.store.repair()
    assert summary.unrepaired == {KEY: "s2: s2 is down"}
    cluster.only(1)
    with pytest.raises(InsufficientReplicas):
        cluster.store.repair()


def test_what_was_deleted_while_a_store_was_away_is_removed_when_the_job_is_over(cluster: Cluster) -> None:
    cluster.save(record(1))
    cluster.save(record(job_id="live"))
    cluster.parts[2].mode = Mode.DOWN
    cluster.store.delete("j")
    cluster.parts[2].mode = Mode.UP
    summary = cluster.store.repair(is_live=lambda job_id: job_id == "live")
    assert summary.removed == 1
    assert set(scan_all(cluster.store)) == {CheckpointKey("live", "main")}


def test_a_delete_needs_a_quorum(cluster: Cluster) -> None:
    cluster.save(record())
    cluster.only(0)
    for call in (lambda: cluster.store.delete("j"), lambda: cluster.store.drop_damaged(*KEY), cluster.store.health):
        with pytest.raises(InsufficientReplicas):
            call()


def test_a_write_quorum_can_be_chosen() -> None:
    parts = [FaultyStore(f"s{n}") for n in range(3)]
    store = ReplicatedStore(parts, write_quorum=3, timeout=5)
    store.save(record(1))
    parts[0].mode = Mode.DOWN
    with pytest.raises(InsufficientReplicas, match="2 of the needed 3"):
        store.save(record(2))
    assert [part.inner.load(*KEY) for part in parts] == [record(1)] * 3


@pytest.mark.parametrize("make", [lambda: [FaultyStore("a"), FaultyStore("a")], list])
def test_stores_are_checked(make: Callable[[], list[CheckpointStore]]) -> None:
    with pytest.raises(ValueError, match="stores"):
        ReplicatedStore(make())


def test_two_writers_racing_leave_one_history() -> None:
    cluster = Cluster()
    start = threading.Barrier(3)

    def write(fence: int) -> None:
        start.wait(10)
        for seq in range(1, 11):
            try:
                cluster.store.save(replace(record(seq), fence=fence))
            except StaleWrite:
                return
            except InsufficientReplicas:
                continue

    writers = [threading.Thread(target=write, args=(fence,)) for fence in (1, 2, 3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    assert cluster.store.load(*KEY) == record(10, fence=3)


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("lie", [record(9, data=b"lie"), record(2, fence=99, data=b"lie"), record(1, data=b"lie")])
@pytest.mark.parametrize("first", [True, False])
def test_a_minority_that_lies_is_neither_believed_nor_copied(size: int, lie: CheckpointRecord, first: bool) -> None:
    cluster = Cluster(size, authenticated=False)
    cluster.save(record(1))
    liars = range(size // 2) if first else range(size - size // 2, size)
    for n in liars:
        cluster.parts[n].inner.delete("j")
        cluster.parts[n].inner.save(lie)
    for _ in range(2):
        assert cluster.store.load(*KEY) == record(1)
    honest = [held for n, held in enumerate(cluster.held()) if n not in liars]
    assert honest == [record(1)] * len(honest)
    assert cluster.reports[-1].unconfirmed == {f"s{n}": lie.version for n in liars}
    summary = cluster.store.repair()
    assert list(summary.unrepaired) == [KEY]
    assert [held for n, held in enumerate(cluster.held()) if n not in liars] == honest
    cluster.save(record(2))
    assert cluster.store.load(*KEY) == record(2), "a liar does not hinder the job"


def test_liars_that_say_different_things_are_not_believed_either() -> None:
    cluster = Cluster(5, authenticated=False)
    cluster.save(record(1))
    for n in (0, 1):
        cluster.parts[n].inner.save(record(7 + n, data=b"lie"))
    assert cluster.store.load(*KEY) == record(1)


def test_what_a_silent_store_might_confirm_is_not_passed_over() -> None:
    cluster = Cluster(authenticated=False)
    cluster.save(record(1))
    cluster.parts[0].inner.save(record(2))
    cluster.only(0, 1)
    with pytest.raises(InsufficientReplicas, match="s0: holds fence 1 seq 2, which too few stores confirm"):
        cluster.store.load(*KEY)
    assert cluster.parts[1].inner.load(*KEY) == record(1), "nothing is copied from a single one"
    cluster.only(0, 1, 2)
    assert cluster.store.load(*KEY) == record(1), "all have answered: it was never acknowledged"
    cluster.parts[1].inner.save(record(2))
    assert cluster.store.load(*KEY) == record(2), "two say the same"
    assert cluster.parts[2].inner.load(*KEY) == record(2)


def test_without_a_key_a_minority_may_be_away_damaged_or_emptied() -> None:
    cluster = Cluster(authenticated=False)
    for seq in (1, 2):
        cluster.save(record(seq))
    cluster.parts[0].mode = Mode.DOWN
    assert cluster.store.load(*KEY) == record(2)
    cluster.parts[0].mode = Mode.UP
    cluster.parts[1].inner.delete("j")
    assert cluster.store.load(*KEY) == record(2)
    assert cluster.held() == [record(2)] * 3
