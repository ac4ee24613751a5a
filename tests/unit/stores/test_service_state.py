"""A service's state: found again at the next start, saved again and again, and never by a process that was replaced."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from perdure.errors import SettingsError
from perdure.model.checkpoint_schema import StateMismatch, StatePolicy
from perdure.model.storage_errors import StaleWrite, StoreUnavailable
from perdure.stores import FilesystemStore, ReplicatedStore, ServiceState
from support.waiting import wait_until

from .faulty import FaultyStore, Mode

SERVICE = """
import itertools, sys, time
from perdure.stores import FilesystemStore, ServiceState
state = ServiceState(FilesystemStore(sys.argv[1]), "counter", interval=0.01)
counted = state.restore(default=0)
with state.saving(lambda: counted):
    print(counted, flush=True)
    for counted in itertools.count(counted + 1):
        time.sleep(0.001)
"""


@dataclass
class Basket:
    items: list[str]


@pytest.fixture
def store(tmp_path: Path) -> FilesystemStore:
    return FilesystemStore(str(tmp_path / "state"))


def await_a_save(store: FilesystemStore) -> None:
    before = store.head("counter", "main")
    wait_until(lambda: store.head("counter", "main") != before, 30)


def test_a_service_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    url, starts = str(tmp_path / "state"), []
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", SERVICE, url], stdout=subprocess.PIPE)
        assert process.stdout is not None
        starts.append(int(process.stdout.readline()))
        await_a_save(FilesystemStore(url))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert starts[0] == 0 < starts[1] < starts[2]


def test_it_is_saved_and_restored_with_its_type(store: FilesystemStore) -> None:
    first = ServiceState(store, "shop")
    assert first.restore(default=Basket([]), type=Basket) == Basket([])
    assert not first.due()
    first.save(Basket(["a"]))
    assert ServiceState(store, "shop").restore(type=Basket) == Basket(["a"])
    assert ServiceState(store, "shop", name="other").restore(default=7) == 7


def test_a_process_that_was_replaced_saves_nothing(store: FilesystemStore) -> None:
    old, new = ServiceState(store, "shop"), ServiceState(store, "shop")
    old.restore()
    old.save({"by": "old"})
    assert new.restore() == {"by": "old"}
    with pytest.raises(StaleWrite):
        old.save({"by": "old, late"})
    new.save({"by": "new"})
    assert ServiceState(store, "shop").restore() == {"by": "new"}


def test_a_clean_start_forgets_what_was_saved(store: FilesystemStore) -> None:
    state = ServiceState(store, "shop")
    with pytest.raises(RuntimeError, match=r"call restore\(\) or start_clean\(\)"):
        state.save(1)
    state.restore()
    state.save(1)
    clean = ServiceState(store, "shop")
    clean.start_clean()
    assert ServiceState(store, "shop").restore(default="nothing") == "nothing"


def test_a_state_of_another_shape_is_migrated_parked_or_begun_anew(store: FilesystemStore) -> None:
    first = ServiceState(store, "shop")
    first.restore()
    first.save({"n": 1})
    with pytest.raises(StateMismatch):
        ServiceState(store, "shop", policy=StatePolicy(version=2)).restore()
    migrated = StatePolicy(version=2, migrations={1: lambda state: {"count": state["n"]}})
    assert ServiceState(store, "shop", policy=migrated).restore() == {"count": 1}
    assert ServiceState(store, "shop", policy=StatePolicy(version=3, otherwise="restart")).restore(default=0) == 0


def test_the_last_state_is_saved_at_the_end_in_threads_and_in_loops(store: FilesystemStore) -> None:
    state = ServiceState(store, "shop", interval=3600)
    counted = state.restore(default=0)
    with state.saving(lambda: counted):
        counted = 5
    assert state.restore() == 5

    async def serve() -> int:
        served = await state.restore_async()
        brief = ServiceState(store, "brief", interval=0.01)
        await brief.restore_async()
        async with brief.saving_async(lambda: served):
            before = store.head("brief", "main")
            await asyncio.to_thread(wait_until, lambda: store.head("brief", "main") != before, 30)
            served += 1
        return int(await ServiceState(store, "brief").restore_async())

    assert asyncio.run(serve()) == 6


def test_a_store_that_is_away_for_a_while_is_tried_again() -> None:
    faulty = FaultyStore("s")
    state = ServiceState(faulty, "shop", interval=0.01)
    state.restore()
    with state.saving(lambda: faulty.calls):
        faulty.mode = Mode.DOWN
        before = faulty.calls
        wait_until(lambda: faulty.calls > before + 2, 30)
        faulty.mode = Mode.UP
        saved = faulty.inner.head("shop", "main")
        wait_until(lambda: faulty.inner.head("shop", "main") != saved, 30)
    faulty.mode = Mode.DOWN
    with pytest.raises(StoreUnavailable):
        state.save(1)


def test_several_stores_keep_it_while_one_is_away() -> None:
    parts = [FaultyStore(f"s{n}") for n in range(3)]
    store = ReplicatedStore(parts)
    state = ServiceState(store, "shop")
    state.restore()
    parts[0].mode = Mode.DOWN
    state.save("kept")
    parts[0].mode, parts[1].mode = Mode.UP, Mode.DOWN
    assert store.drain(30)
    parts[1].mode = Mode.UP
    assert ServiceState(ReplicatedStore(parts), "shop").restore() == "kept"


def test_an_interval_of_nothing_is_refused(store: FilesystemStore) -> None:
    with pytest.raises(SettingsError, match="interval must be a finite number above 0"):
        ServiceState(store, "shop", interval=0)
