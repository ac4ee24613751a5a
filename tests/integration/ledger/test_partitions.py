"""History in partitions on PostgreSQL: what moves there, who still finds it, and what goes with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from perdure import Perdure
from perdure.errors import SettingsError
from perdure.ledger import Ledger, migrate
from perdure.ledger.backup import snapshot
from perdure.ledger.jobs.notes import NoteKind
from perdure.ledger.partitions import tables
from perdure.ledger.schema import metadata
from perdure.model.records import Claim
from perdure.stores.record import CheckpointRecord
from perdure_workers.embedded.postgres import PostgresServer
from perdure_workers.supervisor import maintenance, partitions
from support.ledgers import DIE, SUCCEED, claimed, claimer, job, run_directly, submitted, with_partitions

DAY = 86_400.0
#: Before this test began: what ends now is older than that.
ANY_AGE = -10.0


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> str:
    """URL of a database for these tests alone."""
    return postgres_server.create_database("partitions")


@pytest.fixture
def ledger(database: str) -> Iterator[Ledger]:
    """An empty ledger on PostgreSQL."""
    with with_partitions(database) as ledger:
        yield ledger


@pytest.fixture
def app_on_partitions(
    ledger: Ledger, database: str, redis_url: str, tmp_path: Path, clean_environment: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Perdure]:
    """An application on that ledger whose history is in partitions, with checkpoints elsewhere."""
    monkeypatch.setattr(partitions, "PAGE", 2)
    monkeypatch.setattr(tables, "PATIENCE", 0.05)
    place: Any = {"home": tmp_path, "checkpoint_store": f"file://{tmp_path / 'checkpoints'}"}
    app = Perdure(ledger_url=database, broker_url=redis_url, partition_period=DAY, **place)
    yield app
    app.close()


def ran(ledger: Ledger, **given: Any) -> Claim:
    """Return the claim of a job that succeeded."""
    claim = claimed(ledger, submitted(ledger, **given))
    ledger.jobs.settle(claim, SUCCEED)
    return claim


def archived(ledger: Ledger, rest: float = ANY_AGE) -> list[str]:
    return ledger.partitions.archive(DAY, rest, "", 100)


def in_the_table(ledger: Ledger) -> set[str]:
    return set(ledger.read(lambda c: c.execute(text("SELECT id FROM ONLY perdure_jobs")).scalars()))


def set_ends(ledger: Ledger, seconds: float) -> None:
    """Have all that ended have ended so many seconds earlier."""
    ledger.transact(lambda c: c.execute(text(f"UPDATE perdure_jobs SET finished_at = finished_at - {seconds}")))


def test_what_succeeded_moves_with_all_of_it_and_is_found_as_before(ledger: Ledger) -> None:
    done = ran(ledger, tags={"of": "shop"})
    ledger.jobs.note(done.job_id, NoteKind.HANDED_BACK, "about it")
    before = ledger.jobs.get(done.job_id)
    replica = ran(ledger, replica_of=done.job_id)
    dead = claimed(ledger, submitted(ledger))
    ledger.jobs.settle(dead, DIE)
    waiting = submitted(ledger, delay=60.0)

    assert archived(ledger, rest=3600.0) == []  # it has not rested
    assert archived(ledger) == [done.job_id]

    stay = {replica.job_id, dead.job_id, waiting}
    assert in_the_table(ledger) == stay
    assert ledger.jobs.get(done.job_id) == before
    assert {record.id for record in ledger.jobs.listing()} == {done.job_id, *stay}
    assert [record.id for record in ledger.jobs.listing(tag=("of", "shop"))] == [done.job_id]
    assert ledger.jobs.count("state") == {"succeeded": 2, "dead": 1, "scheduled": 1}
    assert [attempt.outcome for attempt in ledger.jobs.attempts(done.job_id)] == ["succeeded"]
    assert [note.text for note in ledger.jobs.notes_of(done.job_id)] == ["about it"]
    assert ledger.jobs.settle(done, SUCCEED) is None  # the repeat of a settlement whose commit was in doubt
    assert archived(ledger) == []
    assert migrate.drift(ledger.database) == []


def test_a_key_protects_from_its_partition(ledger: Ledger) -> None:
    first = ran(ledger, idempotency_key="k")
    assert archived(ledger) == [first.job_id]
    [until] = [one.until for one in ledger.partitions.existing()]

    [again] = ledger.jobs.submit([job(idempotency_key="k")])

    assert (again.id, again.deduplicated) == (first.job_id, True)
    assert ledger.partitions.protects(until)
    ledger.transact(lambda c: c.execute(text("UPDATE perdure_jobs SET idempotency_expires_at = 1")))
    assert not ledger.partitions.protects(until)
    [free] = ledger.jobs.submit([job(idempotency_key="k")])
    assert not free.deduplicated
    [third] = ledger.jobs.submit([job(idempotency_key="k")])
    assert third.id == free.id


def test_what_runs_does_not_touch_partitions(ledger: Ledger, postgres_server: PostgresServer) -> None:
    ran(ledger)
    archived(ledger)
    [until] = [one.until for one in ledger.partitions.existing()]
    names = ", ".join(tables.name_of(table, until) for table in (tables.JOBS, *tables.OF_JOBS))
    waiting = submitted(ledger)
    by = claimer(ledger)
    with ledger.database.engine.connect() as other:
        other.execute(text(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE"))
        # On the connections that the statements below have again.
        for hot in (True, False):
            run_directly(ledger, "SET lock_timeout = '100ms'", hot=hot)
        ledger.read(lambda c: c.execute(text("SET lock_timeout = '100ms'")))
        submitted(ledger)
        ledger.jobs.lanes("normal")
        ledger.jobs.depth("normal", 10)
        ledger.due(host="h", held=[], ttl=60.0, notifiers=[], thorough=True)
        ledger.counts()
        claims = ledger.jobs.claim(by, 10)
        assert waiting in {claim.job_id for claim in claims}
        ledger.running.standing(claims[0].job_id, claims[0].fence)
        ledger.jobs.settle_all([(claim, SUCCEED) for claim in claims])
        assert len(ledger.jobs.bury_expired(10)) == 0


def test_old_partitions_go_as_a_whole(app_on_partitions: Perdure, monkeypatch: pytest.MonkeyPatch) -> None:
    app, ledger = app_on_partitions, app_on_partitions.ledger
    old = ran(ledger)
    ledger.transact(lambda c: c.execute(text("UPDATE perdure_jobs SET checkpoint_seq = 1")))
    app.storage.store.save(CheckpointRecord(old.job_id, "main", 1, 1, b"state", 1.0))
    set_ends(ledger, 9 * DAY)
    archived(ledger)
    young = [ran(ledger).job_id for _ in range(3)]
    keyed = ran(ledger, idempotency_key="k", idempotency_ttl=30 * DAY)

    assert maintenance.prune(app)["partitions"] == 1
    archived(ledger)

    assert {record.id for record in ledger.jobs.listing()} == {*young, keyed.job_id}
    assert ledger.jobs.attempts(old.job_id) == []
    assert app.storage.store.scan().keys == ()
    assert in_the_table(ledger) == set()
    [one] = ledger.partitions.existing()
    with ledger.database.engine.connect() as reader:
        monkeypatch.setattr(app.ledger, "clock", lambda: one.until + 9 * DAY)
        assert maintenance.prune(app)["partitions"] == 0  # the key is in force
        ledger.transact(lambda c: c.execute(text("UPDATE perdure_jobs SET idempotency_expires_at = 1")))
        reader.execute(text("BEGIN; SELECT count(*) FROM perdure_jobs"))
        assert maintenance.prune(app)["partitions"] == 0  # somebody reads it
    assert maintenance.prune(app)["partitions"] == 1
    assert ledger.jobs.listing() == []


def test_partitions_are_none_of_the_tables_of_the_ledger(ledger: Ledger) -> None:
    ran(ledger)
    assert archived(ledger)
    found = run_directly(ledger, f"SELECT relname FROM pg_class WHERE oid IN ({tables.OF_LEDGER})", hot=False)
    assert {name for (name,) in found} == {*metadata.tables, migrate.VERSION_TABLE}


def test_a_backup_has_what_is_in_partitions(ledger: Ledger, tmp_path: Path) -> None:
    done = ran(ledger)
    archived(ledger)

    taken = snapshot.take(ledger.database, tmp_path)

    assert taken.tables["perdure_jobs"] == 1
    assert (tmp_path / "perdure_jobs.copy").read_text().startswith(done.job_id)


def test_sqlite_has_no_partitions(clean_environment: None) -> None:
    with pytest.raises(SettingsError, match="only a ledger on PostgreSQL has partitions"):
        Perdure(ledger_url="sqlite:///ledger.db", partition_period=DAY)
