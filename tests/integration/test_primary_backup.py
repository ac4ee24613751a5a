"""Primary and backups: operations reach all members in one order, and an old primary writes nothing."""

from __future__ import annotations

import pytest

from perdure import Perdure
from perdure.errors import InvalidJobDefinition
from perdure.manage.primary_backup import Operation, PrimaryBackup, Promotion
from perdure.stores.encryption.cipher import KeyRing
from support.inline import run, run_once


class Shelf:
    """A member: what it did, in order; an operation that it has done changes nothing."""

    def __init__(self) -> None:
        self.done: dict[str, int] = {}
        self.meanwhile: list[object] = []

    def reserve(self, operation: Operation) -> int:
        for act in [*self.meanwhile]:
            self.meanwhile.remove(act)
            act()  # type: ignore[operator]
        return self.done.setdefault(operation.key, sum(self.done.values()) + int(operation.value))


def copy(shelf: Shelf, operation: Operation, result: int) -> None:
    shelf.done.setdefault(operation.key, result)


def group(app: Perdure, shelves: dict[str, Shelf]) -> PrimaryBackup[Shelf]:
    return app.primary_backup("stock", shelves, run=Shelf.reserve, apply=copy)


@pytest.fixture
def shelves() -> dict[str, Shelf]:
    return {"eu": Shelf(), "us": Shelf(), "ap": Shelf()}


def run_copies(app: Perdure) -> None:
    while jobs := app.jobs.list(task="stock.copy", state="queued"):
        for job in jobs:
            run(app, job)


def test_operations_reach_all_members_in_the_order_of_the_primary(app: Perdure, shelves: dict[str, Shelf]) -> None:
    stock = group(app, shelves)
    jobs = [stock.submit(count, key=f"o-{count}") for count in (1, 2, 3)]
    assert stock.submit(1, key="o-1").deduplicated

    assert [run(app, job) for job in jobs] == ["succeeded"] * 3
    assert [job.result() for job in jobs] == [1, 3, 7]
    assert shelves["us"].done == {}
    run_copies(app)

    assert shelves["eu"].done == shelves["us"].done == shelves["ap"].done == {"o-1": 1, "o-2": 3, "o-3": 7}
    snapshot = stock.snapshot()
    assert (snapshot.primary, snapshot.epoch, snapshot.sequence) == ("eu", 1, 3)
    assert snapshot.applied == {"eu": 3, "us": 3, "ap": 3}


def test_a_new_primary_has_all_that_counts_before_it_goes_on(app: Perdure, shelves: dict[str, Shelf]) -> None:
    stock = group(app, shelves)
    seen: list[Promotion] = []
    stock.listen(seen.append)
    run(app, stock.submit(1, key="a"))
    assert shelves["us"].done == {}, "no copy was made yet"

    promoted = stock.promote("us", reason="eu is gone", by="ann")
    assert seen == [promoted] == [Promotion("stock", "us", 2, "ann", "eu is gone")]
    second = stock.submit(5, key="b")
    run(app, second)

    assert second.result() == 6
    assert shelves["us"].done == {"a": 1, "b": 6}
    assert shelves["eu"].done == {"a": 1}
    run_copies(app)
    assert shelves["eu"].done == shelves["ap"].done == {"a": 1, "b": 6}
    assert stock.snapshot().reason == "eu is gone"
    assert stock.promote(reason="back").primary in ("eu", "ap")
    with pytest.raises(KeyError, match="mars"):
        stock.promote("mars", reason="")


def test_an_old_primary_writes_nothing(app: Perdure, shelves: dict[str, Shelf]) -> None:
    stock = group(app, shelves)
    # While eu works, it is replaced: what it did does not count, and is done by the new primary.
    shelves["eu"].meanwhile.append(lambda: stock.promote("us", reason="eu does not answer"))
    job = stock.submit(4, key="x")

    assert run_once(app, job) == "succeeded"
    assert job.record.attempt == 1
    assert shelves["us"].done == {"x": 4}
    assert (stock.snapshot().epoch, stock.snapshot().sequence) == (2, 1)
    run_copies(app)
    assert shelves["eu"].done == shelves["ap"].done == {"x": 4}
    assert stock.snapshot().applied == {"eu": 1, "us": 1, "ap": 1}


def test_an_attempt_that_dies_before_the_log_is_run_again_and_after_it_is_not(
    app: Perdure, shelves: dict[str, Shelf], monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = group(app, shelves)

    def die() -> None:
        raise ConnectionError("the member hung up")

    shelves["eu"].meanwhile.append(die)
    job = stock.submit(4, key="x")
    assert run_once(app, job) == "retrying"
    assert stock.snapshot().sequence == 0
    run(app, job)
    assert (stock.snapshot().sequence, job.result()) == (1, 4)

    calls = len(shelves["eu"].done)
    again = stock.submit(9, key="y")
    # As if the process had died between the log and the job's settlement: the record is there, the job is not settled.
    monkeypatch.setattr(app.ledger, "settle", lambda *_: (_ for _ in ()).throw(SystemError("killed")))
    with pytest.raises(SystemError):
        run_once(app, again)
    monkeypatch.undo()
    assert (len(shelves["eu"].done), again.state) == (calls + 1, "running")
    shelves["eu"].meanwhile.append(die)  # it would fail if it ran again
    app.ledger.transact(
        lambda c: c.exec_driver_sql(f"UPDATE perdure_jobs SET state = 'queued', run_at = queued_at WHERE id = '{again.id}'")
    )
    assert run_once(app, again) == "succeeded"
    assert (again.result(), stock.snapshot().sequence) == (13, 2)


def test_a_member_that_is_too_far_behind_says_so(
    app: Perdure, shelves: dict[str, Shelf], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perdure.manage.primary_backup.KEPT", 1)
    stock = group(app, shelves)
    for number in range(4):
        run(app, stock.submit(1, key=f"k{number}"))
    run_copies(app)
    shelves["new"] = Shelf()
    app = Perdure(ledger_url=app.settings.ledger_url, broker_url=app.settings.broker_url)
    grown = group(app, shelves)
    job = grown.submit(1, key="last")
    run(app, job)
    [copy_job] = [each for each in app.jobs.list(task="stock.copy", state="queued") if each.record.args[0] == "new"]
    run_once(app, copy_job)
    assert "no longer has the next" in str(copy_job.error)

    shelves["new"].done = dict(shelves["eu"].done)
    grown.synced("new", grown.snapshot().sequence)
    assert run(app, copy_job) == "succeeded"
    assert shelves["new"].done == shelves["eu"].done


def test_the_log_is_sealed(migrated_url: str, redis_url: str, shelves: dict[str, Shelf]) -> None:
    app = Perdure(ledger_url=migrated_url, broker_url=redis_url, encryption_keys=KeyRing.generate("k1"))
    stock = group(app, shelves)
    run(app, stock.submit("123456789", key="x"))
    run_copies(app)
    assert shelves["us"].done == {"x": 123456789}
    rows = app.ledger.transact(lambda c: c.exec_driver_sql("SELECT * FROM perdure_replication_log").all())
    assert rows
    assert "123456789" not in str(rows)


def test_a_wrong_definition_is_refused(app: Perdure) -> None:
    with pytest.raises(InvalidJobDefinition, match="0 members"):
        app.primary_backup("none", {}, run=Shelf.reserve)
