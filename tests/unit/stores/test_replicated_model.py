"""ReplicatedStore against a model, with stores that crash, lose answers, freeze, lose or damage what they hold.

The model knows the newest value that was acknowledged or seen (``floor``) and the values whose save failed with an
open outcome (``open``). A load returns the floor or an open value that is newer, and what it returns becomes the
floor: so nothing that was not written is ever returned, nothing acknowledged is lost, and no reader goes back.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from perdure.model.storage_errors import InsufficientReplicas, StaleWrite
from perdure.stores.record import CheckpointKey, CheckpointRecord
from perdure.stores.replicated.replicated import ReplicatedStore
from support.thorough import part_of

from .faulty import FaultyStore, Mode

pytestmark = pytest.mark.slow

KEY = CheckpointKey("j", "main")
CRASHES = (Mode.DOWN, Mode.LOST_ANSWER, Mode.FULL, Mode.LOST_SAVE)
which = st.integers(0, 4)


class ReplicatedMachine(RuleBasedStateMachine):
    @initialize(size=st.sampled_from([3, 5]), only_crashes=st.booleans())
    def start(self, size: int, only_crashes: bool) -> None:
        self.only_crashes = only_crashes
        self.parts = [FaultyStore(f"s{n}") for n in range(size)]
        self.store = ReplicatedStore(self.parts, timeout=20, authenticated=True)
        self.tolerated = self.store.quorum.tolerated
        self.fence, self.seq = 1, 0
        self.floor: CheckpointRecord | None = None
        self.open: list[CheckpointRecord] = []
        self.wrong: set[int] = set()  # stores whose content cannot be trusted until they are repaired

    def teardown(self) -> None:
        for part in getattr(self, "parts", []):
            part.wipe()

    # -- faults -------------------------------------------------------------------------------------------------

    @property
    def crashed(self) -> set[int]:
        return {n for n, part in enumerate(self.parts) if part.mode in CRASHES}

    def may_fail(self, n: int, wrong: set[int]) -> bool:
        # Crashes alone: any number. As soon as a store is wrong, all faults together stay a minority.
        return n < len(self.parts) and (not wrong or len(wrong | self.crashed | {n}) <= self.tolerated)

    @rule(n=which, mode=st.sampled_from(CRASHES))
    def crash(self, n: int, mode: Mode) -> None:
        if self.may_fail(n, self.wrong):
            self.parts[n].mode = mode

    @rule(n=which)
    def come_back(self, n: int) -> None:
        if n in self.crashed:
            self.parts[n].mode = Mode.UP

    @rule(n=which, kind=st.sampled_from(["freeze", "wipe", "damage"]), at=st.integers(0, 500))
    def go_wrong(self, n: int, kind: str, at: int) -> None:
        if self.only_crashes or not self.may_fail(n, self.wrong | {n}):
            return
        self.wrong.add(n)
        if kind == "freeze":
            self.parts[n].mode = Mode.FROZEN
        elif kind == "wipe":
            self.parts[n].wipe()
        else:
            self.parts[n].damage_newest(KEY, at)

    @precondition(lambda self: self.wrong or self.crashed)
    @rule()
    def all_back_and_repaired(self) -> None:
        for part in self.parts:
            part.mode = Mode.UP
        summary = self.store.repair()
        assert not summary.unrepaired
        assert self.store.verify().divergent == 0
        self.wrong.clear()

    # -- operations ---------------------------------------------------------------------------------------------

    def working(self) -> bool:
        return len(self.wrong | self.crashed) <= self.tolerated

    def try_save(self, it: CheckpointRecord) -> str:
        try:
            self.store.save(it)
        except InsufficientReplicas:
            self.open.append(it)
            return "insufficient"
        except StaleWrite:
            return "stale"
        finally:
            assert self.store.drain(20)
        self.settle(it)
        return "saved"

    def settle(self, it: CheckpointRecord) -> None:
        sound = [part for n, part in enumerate(self.parts) if n not in self.wrong]
        holding = [part for part in sound if any(each.record == it for each in part.inner.versions(*KEY))]
        assert len(holding) >= self.store.quorum.write - len(self.wrong), "it is not on a write quorum"
        self.floor = it
        self.open = [each for each in self.open if each.version > it.version]

    @rule(data=st.binary(max_size=20))
    def save(self, data: bytes) -> None:
        self.seq += 1
        outcome = self.try_save(CheckpointRecord("j", "main", self.seq, self.fence, data, 0.0))
        assert outcome == "saved" if self.working() else outcome != "stale"

    @rule(modes=st.lists(st.sampled_from([Mode.UP, Mode.FULL, Mode.LOST_SAVE]), min_size=5, max_size=5))
    def work_while_stores_fail(self, modes: list[Mode]) -> None:
        if self.wrong:
            return
        before = [part.mode for part in self.parts]
        for part, mode in zip(self.parts, modes, strict=False):
            part.mode = mode if part.mode is Mode.UP else part.mode
        self.save(b"during")
        self.load()
        for part, mode in zip(self.parts, before, strict=True):
            part.mode = mode

    @rule()
    def claim(self) -> None:
        self.fence, self.seq = self.fence + 1, 0

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def save_again(self, data: Any) -> None:
        it = data.draw(st.sampled_from(self.open))
        newest_open = all(it.version >= each.version for each in self.open)
        outcome = self.try_save(it)
        if self.working() and newest_open:
            assert outcome == "saved"

    @precondition(lambda self: self.floor is not None and self.floor.fence > 1)
    @rule(seq=st.integers(0, 50))
    def zombie_saves(self, seq: int) -> None:
        assert self.floor is not None
        zombie = CheckpointRecord("j", "main", 1000 + seq, self.floor.fence - 1, b"zombie", 0.0)
        before = self.floor
        assert self.try_save(zombie) == ("stale" if self.working() else "insufficient") or not self.working()
        assert self.floor == before
        self.open = [each for each in self.open if each.data != b"zombie"]  # it must not come out whatever happens

    @rule()
    def load(self) -> None:
        try:
            loaded = self.store.load(*KEY)
        except InsufficientReplicas:
            assert not self.working()
            return
        finally:
            assert self.store.drain(20)
        if loaded is None:
            assert self.floor is None
            return
        assert loaded == self.floor or loaded in self.open
        self.settle(loaded)
        assert self.floor is not None


TestReplicatedStoreAgainstModel = ReplicatedMachine.TestCase
TestReplicatedStoreAgainstModel.settings = settings(max_examples=part_of(120), stateful_step_count=30, deadline=None)
