"""Checkpoints of running jobs, transactions and sealed payloads, on both databases."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select, update

from perdure import JobContext, Perdure
from perdure.errors import CheckpointTooLarge, LeaseLost, TransactionMisused
from perdure.ledger.schema import attempts, checkpoints, jobs
from perdure.model.checkpoint_schema import StateMismatch, StatePolicy
from perdure.model.storage_errors import MissingKey
from perdure.stores.encryption.cipher import KeyRing
from support.inline import run_once
from support.ledgers import LOSE, claimed, running

Restart = Callable[..., Perdure]
effects = Table("effects", MetaData(), Column("number", Integer))


class Place(msgspec.Struct):
    row: int
    file: str = "a"


def context(app: Perdure, *, claim: Any = None, policy: StatePolicy | None = None) -> JobContext:
    return JobContext(claim or running(app.ledger), app.ledger, storage=app.storage, state_policy=policy)


def again(ctx: JobContext, app: Perdure, policy: StatePolicy | None = None) -> JobContext:
    """The context of the next attempt, after the first one's worker was lost."""
    app.ledger.jobs.settle(ctx.claim, LOSE)
    return context(app, claim=claimed(app.ledger, ctx.job_id, worker="w-2"), policy=policy)


def damage(app: Perdure, job_id: str, *seqs: int) -> None:
    where = (checkpoints.c.job_id == job_id) & checkpoints.c.seq.in_(seqs)
    app.ledger.transact(lambda c: c.execute(update(checkpoints).where(where).values(data=b"PDCK broken")))


def run(app: Perdure, job_id: str) -> str:
    return run_once(app, app.jobs.get(job_id))


@pytest.fixture
def restart(app: Perdure) -> Any:
    """Make an application with other settings on the same ledger and broker."""
    made: list[Perdure] = []

    def make(**settings: Any) -> Perdure:
        url = app.ledger.database.engine.url.render_as_string(hide_password=False)
        same: dict[str, Any] = {"ledger_url": url, "broker_url": app.settings.broker_url, "home": app.settings.home}
        made.append(Perdure(**same, **settings))
        return made[-1]

    yield make
    for other in made:
        other.close()


def test_the_next_attempt_gets_what_was_saved_as_the_type_it_asks_for(app: Perdure) -> None:
    first = context(app)
    assert first.checkpoint.load(default="none") == "none"
    assert [first.checkpoint.save(Place(row)) for row in (1, 2, 3)] == [1, 2, 3]
    first.checkpoint.named("other").save({"b": 1})
    second = again(first, app)
    assert second.checkpoint.load(type=Place) == Place(3)
    assert second.checkpoint.named("other").load() == {"b": 1}
    second.checkpoint.clear()
    assert second.checkpoint.load() is None
    with pytest.raises(LeaseLost):
        first.checkpoint.save(Place(9))
    assert again(second, app).checkpoint.load() is None


def test_a_damaged_version_is_passed_over_and_told(app: Perdure) -> None:
    first = context(app)
    for row in (1, 2, 3):
        first.checkpoint.save(row)
    damage(app, first.job_id, 3)
    second = again(first, app)
    assert second.checkpoint.load() == 2
    [note] = app.ledger.jobs.notes_of(first.job_id)
    assert note.kind == "checkpoint_damaged"
    assert "seq 2 is used" in note.text
    damage(app, first.job_id, 2)
    assert second.checkpoint.load(default="clean") == "clean"
    assert app.ledger.jobs.notes_of(first.job_id)[-1].kind == "checkpoint_lost"


def test_a_state_of_another_shape_is_migrated_parked_or_given_up(app: Perdure) -> None:
    first = context(app)
    first.checkpoint.save({"line": 7})
    migrating = StatePolicy(version=2, migrations={1: lambda old: {"row": old["line"]}})
    second = again(first, app, migrating)
    assert second.checkpoint.load(type=Place) == Place(7)
    assert app.ledger.jobs.notes_of(first.job_id)[-1].kind == "state_migrated"
    with pytest.raises(StateMismatch, match="no migration from 1 to 2"):
        context(app, claim=second.claim, policy=StatePolicy(version=2)).checkpoint.load()
    restarting = context(app, claim=second.claim, policy=StatePolicy(version=2, otherwise="restart"))
    assert restarting.checkpoint.load(default=0) == 0
    assert app.ledger.jobs.notes_of(first.job_id)[-1].kind == "state_discarded"
    second.checkpoint.save(Place(8))
    with pytest.raises(StateMismatch, match="newer release"):
        again(second, app).checkpoint.load()


def test_too_large_a_state_is_refused_and_a_tight_loop_can_ask_when_to_save(app: Perdure, restart: Restart) -> None:
    small = restart(checkpoint_max_bytes=100, checkpoint_interval=3600)
    ctx = context(small)
    with pytest.raises(CheckpointTooLarge, match="checkpoint_max_bytes is 100"):
        ctx.checkpoint.save("x" * 200)
    assert not ctx.checkpoint.due()
    assert ctx.checkpoint.due(0)


def test_effects_and_checkpoint_commit_together_or_not_at_all(app: Perdure) -> None:
    app.ledger.transact(lambda c: effects.drop(c, checkfirst=True))
    app.ledger.transact(effects.create)
    first = context(app)
    try:
        with first.transaction() as connection:
            connection.execute(insert(effects).values(number=1))
            assert first.checkpoint.save(1) == 1
        with pytest.raises(ZeroDivisionError), first.transaction() as connection:  # noqa: PT012 - the block is tested
            connection.execute(insert(effects).values(number=2))
            first.checkpoint.save(2)
            raise ZeroDivisionError
        assert first.checkpoint.load() == 1
        with pytest.raises(TransactionMisused), first.transaction(), first.transaction():
            pass
        stale, second = first, again(first, app)
        with pytest.raises(LeaseLost), stale.transaction() as connection:
            connection.execute(insert(effects).values(number=3))
        with second.transaction(final=True) as connection:
            connection.execute(insert(effects).values(number=4))
            second.set_result({"sum": 5})
        assert app.jobs.get(first.job_id).result() == {"sum": 5}
        with pytest.raises(LeaseLost):
            second.checkpoint.save(9)
        assert app.ledger.read(lambda c: c.execute(select(func.sum(effects.c.number))).scalar_one()) == 5
    finally:
        app.ledger.transact(effects.drop)


@pytest.mark.parametrize("stores", ["one", "replicated", "redis"])
def test_other_stores_keep_checkpoints_and_transactions_join_them(
    app: Perdure, restart: Restart, tmp_path: Path, stores: str
) -> None:
    folders = [str(tmp_path / name) for name in "abc"]
    chosen = {"one": folders[0], "replicated": folders, "redis": "redis"}[stores]
    other = restart(checkpoint_store=chosen)
    first = context(other)
    assert first.checkpoint.save("outside") == 1
    assert app.ledger.running.load_checkpoint(first.job_id, "main") == []
    second = again(first, other)
    assert second.checkpoint.load() == "outside"
    with pytest.raises(LeaseLost):
        first.checkpoint.save("zombie")
    with second.transaction():
        second.checkpoint.save("inside")
    assert second.checkpoint.load() == "inside"
    second.checkpoint.save("outside again")
    assert again(second, other).checkpoint.load() == "outside again"


def test_what_is_sealed_is_nowhere_in_the_ledger_and_waits_for_its_key(app: Perdure, restart: Restart) -> None:
    keys = KeyRing.generate("k1")
    sealing, keyless = restart(encryption_keys=keys), restart()

    def charge(ctx: JobContext, card: str) -> str:
        ctx.checkpoint.save({"card": card})
        if ctx.attempt == 1:
            raise ValueError(f"no {card}")
        assert ctx.checkpoint.load() == {"card": card}
        return card

    for each in (sealing, keyless):
        each.register(charge, name="charge", retry="standard")
    job = sealing.task("charge").submit("secret-4711")
    assert run(keyless, job.id) == "retrying"
    assert "MissingKey" in (job.attempts()[0].error_type or "")
    app.ledger.jobs.bring_forward(job.id)
    run(sealing, job.id)
    app.ledger.jobs.bring_forward(job.id)
    run(sealing, job.id)
    assert [each.outcome for each in job.attempts()] == ["snoozed", "failed", "succeeded"]
    assert job.result() == "secret-4711"
    assert job.attempts()[1].error == "no secret-4711"
    assert job.record.args == ["secret-4711"]
    stored = app.ledger.read(
        lambda c: [*c.execute(select(jobs)), *c.execute(select(checkpoints)), *c.execute(select(attempts))]
    )
    assert "4711" not in repr([tuple(row) for row in stored])
    unread = keyless.jobs.get(job.id)
    assert unread.record.args == []
    assert "MissingKey" in unread.record.unopened["args"]
    with pytest.raises(MissingKey):
        unread.result()


def test_large_payloads_are_offloaded(app: Perdure, restart: Restart, tmp_path: Path) -> None:
    other = restart(blob_store=str(tmp_path / "blobs"), offload_threshold=1024, encryption_keys=KeyRing.generate("k1"))

    def twice(ctx: JobContext, text: str) -> str:
        ctx.checkpoint.save(text)
        return text * 2

    other.register(twice, name="twice")
    job = other.task("twice").submit("x" * 5000)
    run(other, job.id)
    assert job.result() == "x" * 10000
    row = app.ledger.read(lambda c: c.execute(select(jobs.c.args, jobs.c.result)).one())
    assert all(value.startswith("blob:sha256:") for value in row)
    assert sum(len(files) for *_, files in os.walk(tmp_path / "blobs")) == 3
