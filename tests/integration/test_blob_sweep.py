"""What was offloaded is removed when nothing refers to it any more, and never before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import LargeBinary, Table, Text, delete

from perdure import Discard, JobContext, Perdure
from perdure.ledger import offloaded
from perdure.ledger.schema import attempts, checkpoints, dead_letter_groups, dead_letters, job_logs, jobs, metadata, steps
from perdure.stores.encryption.cipher import KeyRing
from perdure_workers.supervisor import blob_sweep
from perdure_workers.supervisor.blob_sweep import sweep
from support.inline import run, run_once

LARGE = "x" * 1500


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def shop(migrated_url: str, redis_url: str, tmp_path: Path, folder: Path, clean_environment: None) -> Iterator[Perdure]:
    app = Perdure(
        ledger_url=migrated_url,
        broker_url=redis_url,
        home=tmp_path / "home",
        blob_store=str(folder),
        offload_threshold=1024,
        encryption_keys=KeyRing.generate("k1"),
    )
    yield app
    app.close()


@pytest.fixture
def aged(folder: Path) -> Callable[[], int]:
    """Makes all that is in the store old, and returns how many blobs that are."""

    def age() -> int:
        files = [path for path in folder.rglob("*") if path.is_file()]
        for path in files:
            os.utime(path, (1, 1))
        return sum(path.parent.name != "ledgers" for path in files)

    return age


def test_what_is_referred_to_stays_whatever_names_it(
    shop: Perdure, aged: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blob_sweep, "PAGE", 1)  # each row is a page of its own

    @shop.job(name="work", retry="none")
    def work(ctx: JobContext, text: str, fails: bool) -> str:
        ctx.step("read", lambda: text + " step")
        ctx.checkpoint.save(text + " checkpoint")
        ctx.log.info(text)
        if fails:
            raise Discard(text + " error")
        return text + " result"

    fine, failed = work.submit(LARGE + " 1", False), work.submit(LARGE + " 2", True)
    assert [run(shop, fine), run(shop, failed)] == ["succeeded", "dead"]
    forgotten = shop.ledger.vault.put(LARGE + " 3", "args", "nobody", "work")
    assert sweep(shop) == 0  # it has only now left its mark
    before = aged()
    assert sweep(shop) == 1
    assert aged() == before - 1
    assert fine.result() == LARGE + " 1 result"
    letter = shop.dead_letters.list()[0]
    assert (letter.args[0], letter.unopened) == (LARGE + " 2", {})
    assert LARGE in str(letter.error)
    assert forgotten.startswith("blob:")

    shop.ledger.transact(lambda c: c.execute(delete(jobs).where(jobs.c.id == fine.id)))
    removed = sweep(shop)
    assert removed >= 2  # its arguments and its result; what belongs to the other is still there
    assert shop.dead_letters.get(letter.id).unopened == {}
    of_jobs = (attempts, checkpoints, job_logs, jobs, steps)
    shop.ledger.transact(lambda c: [c.execute(delete(table)) for table in of_jobs])
    assert sweep(shop) > 0
    assert shop.dead_letters.get(letter.id).unopened == {}
    shop.ledger.transact(lambda c: [c.execute(delete(table)) for table in (dead_letters, dead_letter_groups)])
    sweep(shop)
    assert aged() == 0


def test_a_submit_that_is_under_way_keeps_what_it_has_written(shop: Perdure, aged: Callable[[], int]) -> None:
    @shop.job(name="echo")
    def echo(text: str) -> str:
        return text

    shop.ledger.vault.put(LARGE, "args", "nobody", "echo")
    sweep(shop)
    aged()
    with shop.ledger.transaction() as connection:
        shop.submitter.submit_within(connection, echo, [(LARGE,)])
        if connection.dialect.name == "postgresql":  # on SQLite nobody else writes meanwhile, not even a mark's owner
            assert sweep(shop) == 1
    [job] = shop.jobs.list(task="echo")
    assert run_once(shop, job) == "succeeded"
    assert job.result() == LARGE


def test_a_store_that_ledgers_share_is_left_alone(
    shop: Perdure, folder: Path, tmp_path: Path, aged: Callable[[], int], caplog: pytest.LogCaptureFixture
) -> None:
    other = Perdure(ledger_url=f"sqlite:///{tmp_path}/other.db", home=tmp_path / "other", blob_store=str(folder))
    other.ledger.upgrade()
    other.ledger.vault.put("y" * 300_000, "args", "nobody", "work")
    assert [sweep(app) for app in (shop, other, shop)] == [0, 0, 0]
    aged()
    assert [sweep(app) for app in (shop, other)] == [0, 0]
    assert "is shared by 2 ledgers" in caplog.text
    assert aged() == 1
    other.close()


def test_all_texts_and_frames_are_looked_at_in_pages(shop: Perdure) -> None:
    def of(table: Table, kind: type[Any]) -> tuple[str, ...]:
        return tuple(column.name for column in table.columns if isinstance(column.type, kind))

    expected = {
        offloaded.Holder(
            table.name, next(iter(table.primary_key.columns.keys()), None), of(table, Text), of(table, LargeBinary)
        )
        for table in metadata.tables.values()
    }
    first, *others = shop.ledger.holders()
    assert first.name == "perdure_dead_letters"
    assert {first, *others} == {table for table in expected if table.texts or table.data}


def test_it_is_a_job_of_those_that_offload(shop: Perdure, tmp_path: Path) -> None:
    blob_sweep.register_blob_sweep(shop)
    assert blob_sweep.NAME in shop.schedules
    without = Perdure(home=tmp_path / "without")
    blob_sweep.register_blob_sweep(without)
    assert blob_sweep.NAME not in without.tasks
