"""Tables that are rotated while PostgreSQL cannot vacuum: what lives in them stays, whoever works meanwhile or dies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from perdure import Perdure
from perdure.errors import LedgerUnavailable
from perdure.ledger import Ledger
from perdure.ledger.backup import snapshot
from perdure.ledger.partitions import dead_rows, rotate
from perdure.manage import platform_checks
from perdure_workers.embedded.postgres import PostgresServer
from perdure_workers.embedded.standby import administer, copy_for_standby, lose
from perdure_workers.supervisor.duties import rotate as duty
from perdure_workers.supervisor.supervisor import default_duties
from support.ledgers import DIE, SUCCEED, claimed, claimer, job, run_directly, submitted, try_claim, with_partitions
from support.waiting import wait_until

DAY = 86_400.0
TABLES = ("perdure_jobs", "perdure_attempts", "perdure_counts")


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> str:
    """URL of a database for these tests alone."""
    return postgres_server.create_database("rotation")


@pytest.fixture
def ledger(database: str) -> Iterator[Ledger]:
    """An empty ledger on PostgreSQL."""
    with with_partitions(database) as ledger:
        yield ledger


@contextmanager
def open_transaction(url: str, *, reads: str = "SELECT txid_current()", name: str = "other") -> Iterator[None]:
    """Hold a transaction open that sees what was before it."""
    with psycopg.connect(url.replace("+psycopg", ""), application_name=name) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute(reads)
        yield
        connection.rollback()


@pytest.fixture
def held(ledger: Ledger, database: str) -> Iterator[None]:
    with open_transaction(database):
        yield


def ran(ledger: Ledger, count: int = 1) -> None:
    ledger.jobs.submit([job() for _ in range(count)])
    claims = ledger.jobs.claim(claimer(ledger), count)
    ledger.jobs.settle_all([(claim, SUCCEED) for claim in claims])


def rows(ledger: Ledger, table: str = "perdure_jobs") -> list[Any]:
    return ledger.read(lambda c: [tuple(row) for row in c.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2"))])


def size(ledger: Ledger, table: str = "perdure_jobs") -> int:
    return int(ledger.read(lambda c: c.execute(text(f"SELECT pg_total_relation_size('{table}')")).scalar_one()))


@pytest.mark.usefixtures("held")
def test_dead_rows_go_and_what_lives_stays(ledger: Ledger) -> None:
    for _ in range(5):
        ran(ledger, 200)
    ledger.partitions.archive(DAY, -10.0, "", 10_000)
    dead = claimed(ledger, submitted(ledger))
    ledger.jobs.settle(dead, DIE)
    runs, waits = claimed(ledger, submitted(ledger)), submitted(ledger, delay=60.0, tags={"of": "shop"})
    before, large = [rows(ledger, table) for table in TABLES], size(ledger)

    assert [ledger.partitions.rotate(table) for table in TABLES] == [None] * 3

    assert [rows(ledger, table) for table in TABLES] == before
    assert size(ledger) < large / 4
    assert ledger.jobs.settle(runs, SUCCEED) is None
    assert try_claim(ledger, waits) is None
    assert ledger.jobs.count("state") == {"succeeded": 1001, "dead": 1, "scheduled": 1}


@pytest.mark.usefixtures("held")
def test_who_works_meanwhile_loses_nothing(ledger: Ledger) -> None:
    over, ids = threading.Event(), set[str]()
    errors: list[BaseException] = []

    def forever(step: Callable[[], object]) -> threading.Thread:
        def run() -> None:
            while not over.is_set():
                try:
                    step()
                except BaseException as error:
                    errors.append(error)
                    return

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def submit() -> None:
        ids.update(one.id for one in ledger.jobs.submit([job() for _ in range(5)]))

    def work(by: Any) -> None:
        claims = ledger.jobs.claim(by, 7)
        assert not ledger.jobs.settle_all([(claim, SUCCEED) for claim in claims]).lost

    submit()
    children = [claimer(ledger, pid=pid) for pid in (1, 2)]
    threads = [forever(submit), *(forever(partial(work, by)) for by in children)]
    rotated = 0
    while rotated < 15:
        ledger.partitions.archive(DAY, -10.0, "", 100)
        for table in TABLES:
            with suppress(LedgerUnavailable):  # who works had it in use
                rotated += ledger.partitions.rotate(table) is None
    over.set()
    for thread in threads:
        thread.join(30)
    while claims := ledger.jobs.claim(claimer(ledger), 100):
        ledger.jobs.settle_all([(claim, SUCCEED) for claim in claims])

    assert errors == []
    found = ledger.read(lambda c: c.execute(text("SELECT id, state, fence, attempt FROM perdure_jobs")).all())
    assert sorted(tuple(row) for row in found) == sorted((one, "succeeded", 1, 1) for one in ids)
    attempts = ledger.read(lambda c: c.execute(text("SELECT job_id FROM perdure_attempts")).scalars().all())
    assert sorted(attempts) == sorted(ids)


def test_a_table_that_somebody_uses_stays(ledger: Ledger, database: str) -> None:
    ran(ledger)
    before = rows(ledger)
    with (
        open_transaction(database, reads="SELECT count(*) FROM perdure_jobs"),
        pytest.raises(LedgerUnavailable, match="lock timeout"),
    ):
        ledger.partitions.rotate("perdure_jobs")
    assert rows(ledger) == before
    assert ledger.partitions.rotate("perdure_jobs") is None


def test_a_dump_that_begins_finds_all(ledger: Ledger, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ran(ledger)
    with open_transaction(database, name="pg_dump"):
        assert "a dump begins" in str(ledger.partitions.rotate("perdure_jobs"))
        monkeypatch.setattr(rotate, "DUMP_BEGINS", 0.0)  # it has begun long ago, and leaves this table out
        assert ledger.partitions.rotate("perdure_jobs") is None


def test_a_backup_finds_all(ledger: Ledger, tmp_path: Path) -> None:
    ran(ledger)
    tried: list[str] = []

    def told(_done: int, _of: int) -> None:
        if not tried:
            with pytest.raises(LedgerUnavailable, match="lock timeout") as refused:
                ledger.partitions.rotate("perdure_workers")  # which is copied last
            tried.append(str(refused.value))

    snapshot.take(ledger.database, tmp_path, told)
    assert tried


def test_a_rotation_that_is_killed_was_none(ledger: Ledger) -> None:
    ran(ledger)
    before = rows(ledger)
    with ledger.database.engine.connect() as connection:
        assert rotate.rotate(connection, "perdure_jobs") is None
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        ledger.read(lambda c: c.execute(text("SELECT pg_terminate_backend(:pid, 20000)"), {"pid": pid}))
        with pytest.raises(DBAPIError):
            connection.commit()

    assert rows(ledger) == before


def test_many_that_live_stay(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotate, "LIVING", 3)
    ran(ledger, 4)
    before = rows(ledger)
    assert ledger.partitions.rotate("perdure_jobs") == "more than 3 of its rows live"
    assert rows(ledger) == before


def test_only_where_transactions_read_what_is_committed(ledger: Ledger, database: str) -> None:
    ran(ledger)
    other = Ledger(f"{database}?options=-c%20default_transaction_isolation%3Drepeatable%5C%20read")
    assert other.partitions.rotate("perdure_jobs") == "transactions are repeatable read by default"
    other.close()


def test_a_user_that_may_not(ledger: Ledger) -> None:
    def as_reader(connection: Connection) -> str | None:
        connection.execute(text("SET LOCAL ROLE pg_monitor"))
        return rotate.rotate(connection, "perdure_jobs")

    assert ledger.transact(as_reader) == "pg_monitor may not truncate it"


def test_who_keeps_dead_rows_is_told_and_when_a_table_was_rotated(
    ledger: Ledger, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = ledger.clock()
    with open_transaction(database, name="a report"):
        ran(ledger, 100)
        counted(ledger)
        found = ledger.partitions.dead_rows()
        assert (found.kept_for, found.since, found.rotated) == (None, None, {})  # it may be a statement that takes a moment
        monkeypatch.setattr(dead_rows, "LONG", -1.0)
        found = ledger.partitions.dead_rows()
        assert found.count >= 200
        assert "(a report)" in str(found.kept_for)
        assert began - 1 < (found.since or 0.0) < ledger.clock() + 1
        platform_checks.vacuumed(ledger)
        monkeypatch.setattr(platform_checks, "MOST_DEAD", 100)
        said = r"dead rows stay, kept for session \d+ \(a report\) since 20"
        with pytest.raises(platform_checks.DeadRowsKept, match=said):
            platform_checks.vacuumed(ledger)
        assert ledger.partitions.rotate("perdure_jobs") is None
    found = ledger.partitions.dead_rows()
    assert found.rotated.keys() == {"perdure_jobs"}
    assert "perdure_jobs was rotated 20" in platform_checks.told(found)


def test_the_slot_of_a_standby_that_is_gone_holds_a_transaction(server_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that no standby with ``hot_standby_feedback`` has used holds none, and keeps no dead rows."""
    monkeypatch.setattr(dead_rows, "MANY", 0)
    with PostgresServer(server_dir / "fed", die_with_parent=True, fast_unsafe_for_tests=True) as primary:
        administer(primary, "SELECT pg_create_physical_replication_slot('gone', true)")
        for setting in ("hot_standby_feedback = on", "primary_slot_name = 'gone'", "wal_receiver_status_interval = '1s'"):
            administer(primary, f"ALTER SYSTEM SET {setting}")  # for the standby, whose copy has it
        ledger = Ledger(primary.create_database("fed"))
        ledger.upgrade()
        assert ledger.partitions.look().horizon is None
        copy_for_standby(primary, server_dir / "gone")
        with PostgresServer(server_dir / "gone", die_with_parent=True, fast_unsafe_for_tests=True) as standby:
            wait_until(lambda: administer(primary, "SELECT xmin FROM pg_replication_slots") != [(None,)], 30)
            lose(standby)
        wait_until(lambda: administer(primary, "SELECT active FROM pg_replication_slots") == [(False,)], 30)
        [(held,)] = administer(primary, "SELECT xmin::text FROM pg_replication_slots")
        ran(ledger, 20)
        assert ledger.partitions.look().horizon == held
        assert ledger.partitions.dead_rows().kept_for == "replication slot gone"
        ledger.close()


@pytest.mark.usefixtures("held")
def test_whose_transaction_it_is_does_not_matter(ledger: Ledger) -> None:
    def as_somebody_else(connection: Connection) -> str | None:
        connection.execute(text("SET LOCAL ROLE pg_signal_backend"))
        return rotate.look(connection).horizon

    assert ledger.transact(as_somebody_else) is not None


def test_a_repeated_submit_finds_its_job_in_a_partition(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    run, new = ledger.database._run, job()
    archived: list[str] = []

    def cut(work: Any, *how: Any) -> Any:
        done = run(work, *how)
        monkeypatch.undo()
        if not archived:  # it is committed, runs and is archived before anybody hears of it
            ledger.jobs.settle(claimed(ledger, new.id), SUCCEED)
            archived.extend(ledger.partitions.archive(DAY, -10.0, "", 10))
            raise DBAPIError(None, None, ConnectionError("cut"), connection_invalidated=True)
        return done

    monkeypatch.setattr(ledger.database, "_run", cut)
    [again] = ledger.jobs.submit([new])

    assert [again.id] == archived == [new.id]
    assert ledger.jobs.count("state") == {"succeeded": 1}


@pytest.fixture
def rotating(
    ledger: Ledger, database: str, redis_url: str, tmp_path: Path, clean_environment: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[duty.Rotate]:
    """The duty of an application on that ledger; few dead rows are many, and whoever is there has been so for long."""
    for module, name, value in (
        (rotate, "DEAD", 500), (duty, "HELD", 0.0), (duty, "SHORT_REST", -10.0), (duty, "BETWEEN", 0.0),
        (duty, "CALM", 0.0), (duty, "BRISK", 0.0),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    app = Perdure(ledger_url=database, broker_url=redis_url, home=tmp_path, partition_period=DAY)
    [found] = [each for each in default_duties(app) if isinstance(each, duty.Rotate)]
    yield found
    app.close()


def counted(ledger: Ledger) -> None:
    """Have PostgreSQL count what this process has done."""
    for hot in (True, False):
        run_directly(ledger, "SELECT pg_stat_force_next_flush()", hot=hot)
    ledger.read(lambda c: c.execute(text("SELECT pg_stat_force_next_flush()")))


@pytest.mark.usefixtures("held")
def test_what_a_rotation_threw_away_is_counted_no_more_whatever_follows_it(ledger: Ledger) -> None:
    ran(ledger, 300)
    counted(ledger)

    assert ledger.partitions.rotate("perdure_jobs") is None
    assert len(ledger.partitions.archive(DAY, -10.0, "", 10)) == 10

    counted(ledger)
    counts = "SELECT n_live_tup, n_dead_tup FROM pg_stat_user_tables WHERE relname = 'perdure_jobs'"
    assert run_directly(ledger, counts, hot=False) == [(290, 10)]


@pytest.mark.parametrize(("living", "died", "is_it"), [(100, 3, False), (101, 3, True), (101, 1, False)])
def test_a_table_waits_for_archiving_where_too_many_live_and_far_more_are_dead(
    living: int, died: int, is_it: bool, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotate, "LIVING", 100)
    monkeypatch.setattr(rotate, "BEHIND", 250)
    ledger.jobs.submit([job() for _ in range(living)])
    for _ in range(died):
        run_directly(ledger, "UPDATE perdure_jobs SET priority = priority")
    counted(ledger)

    assert ledger.partitions.look().is_behind is is_it


def rotated(rotating: duty.Rotate) -> bool:
    rotating.run_once()
    counted(rotating.app.ledger)
    return not rotating.app.ledger.partitions.look().to_rotate


def test_while_a_transaction_is_held_open_few_rows_are_dead(rotating: duty.Rotate, ledger: Ledger, database: str) -> None:
    ran(ledger, 600)
    counted(ledger)
    with open_transaction(database):
        for _ in range(3):
            ran(ledger, 600)
            counted(ledger)
            wait_until(lambda: rotated(rotating), timeout=30)
        assert sum(size(ledger, table) for table in TABLES) < 1_000_000
    assert ledger.jobs.count("state") == {"succeeded": 2400}


def test_nothing_is_done_while_nobody_holds_one_open(
    rotating: duty.Rotate, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    ran(ledger, 600)
    counted(ledger)
    assert rotating.run_once() == 0
    assert rotating.period == duty.PERIOD
    monkeypatch.setattr(duty, "HELD", 60.0)
    with open_transaction(database):
        rotating.run_once()
        assert rotating.period == duty.PERIOD  # it may be a statement that takes a moment
    assert ledger.partitions.existing() == []
    monkeypatch.setattr(duty, "REST", -10.0)
    rotating.run_once()
    assert ledger.read(lambda c: c.execute(text("SELECT count(*) FROM ONLY perdure_jobs")).scalar_one()) == 0


def test_who_uses_a_table_is_told_of_once(
    rotating: duty.Rotate, ledger: Ledger, database: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(ledger, 600)
    counted(ledger)
    monkeypatch.setattr(duty, "PAUSE", 0.0)
    with open_transaction(database, reads="SELECT count(*) FROM perdure_jobs"):
        for _ in range(2):
            rotating.run_once()
    told = [record.getMessage() for record in caplog.records if record.name == "perdure.rotate"]
    assert len(told) == 1
    assert "dead rows of perdure_jobs stay while transaction" in told[0]
