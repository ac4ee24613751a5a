"""Primary and backups: operations reach all members in one order, and an old primary writes nothing."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from perdure import JobHandle, Perdure
from perdure.errors import InvalidJobDefinition, SettingsError
from perdure.ledger.running import replicated_log
from perdure.ledger.running.replicated_log import MemberState, Promotion
from perdure.manage.group_failover import GroupFailover, successor
from perdure.manage.primary_backup import Operation, PrimaryBackup
from perdure.stores.encryption.cipher import KeyRing
from support.inline import run, run_once
from support.ledgers import at_once


class Shelf:
    """A member: what it did, in order; an operation that it has done changes nothing."""

    def __init__(self) -> None:
        self.done: dict[str, int] = {}
        self.meanwhile: list[object] = []
        self.is_down = False
        self.is_refusing = False

    def ping(self) -> bool:
        if self.is_down:
            raise ConnectionRefusedError("nobody listens")
        return not self.is_refusing

    def reserve(self, operation: Operation) -> int:
        self.ping()
        for act in [*self.meanwhile]:
            self.meanwhile.remove(act)
            act()  # type: ignore[operator]
        return self.done.setdefault(operation.key, sum(self.done.values()) + int(operation.value))


def copy(shelf: Shelf, operation: Operation, result: int) -> None:
    shelf.ping()
    shelf.done.setdefault(operation.key, result)


def group(app: Perdure, shelves: dict[str, Shelf], **more: Any) -> PrimaryBackup[Shelf]:
    return app.primary_backup("stock", shelves, Shelf.reserve, copy, **more)


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
    assert seen == [promoted] == stock.promotions()
    assert promoted == Promotion("stock", "us", "eu", 2, "ann", "eu is gone", promoted.at)
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
    monkeypatch.setattr(app.ledger.jobs, "settle", lambda *_: (_ for _ in ()).throw(SystemError("killed")))
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


@pytest.mark.slow
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


def attempts_until(app: Perdure, job: JobHandle[Any], state: str, most: int = 10) -> int:
    for number in range(1, most + 1):
        if run_once(app, job) == state:
            return number
        app.jobs.run_now(job.id)
    raise AssertionError(f"{job.state} after {most} attempts: {job.error}")


def test_a_primary_that_fails_in_operations_is_replaced_and_no_attempt_burns(
    app: Perdure, shelves: dict[str, Shelf]
) -> None:
    stock = group(app, shelves, retry="none")
    run(app, stock.submit(1, key="a"))
    run_copies(app)
    shelves["eu"].is_down = True
    job = stock.submit(5, key="b")

    assert attempts_until(app, job, "succeeded") == 3
    assert (job.result(), job.record.attempt) == (6, 1)
    [promotion] = stock.promotions()
    assert (promotion.primary, promotion.before, promotion.epoch, promotion.by) == ("us", "eu", 2, "failover")
    assert promotion.reason == "eu failed 3 times in a row, last in an operation with ConnectionRefusedError"
    assert stock.snapshot().failures == {"eu": 3, "us": 0, "ap": 0}

    shelves["eu"].is_down = False
    run_copies(app)
    assert shelves["eu"].done == shelves["us"].done == shelves["ap"].done == {"a": 1, "b": 6}
    assert stock.snapshot().failures == {"eu": 0, "us": 0, "ap": 0}


def test_errors_of_the_operation_itself_replace_nobody(app: Perdure, shelves: dict[str, Shelf]) -> None:
    stock = group(app, shelves, retry="none")
    for number in range(4):
        assert run_once(app, stock.submit("no number", key=f"bad-{number}")) == "dead"
    assert (stock.snapshot().primary, stock.snapshot().failures["eu"]) == ("eu", 0)


def test_failures_count_in_a_row(app: Perdure, shelves: dict[str, Shelf]) -> None:
    stock = group(app, shelves)
    for number in range(4):
        shelves["eu"].is_down = True
        job = stock.submit(1, key=f"{number}")
        run_once(app, job)
        assert stock.snapshot().failures["eu"] == 1
        shelves["eu"].is_down = False
        app.jobs.run_now(job.id)
        assert run_once(app, job) == "succeeded"
        assert stock.snapshot().failures["eu"] == 0
    assert stock.promotions() == []


def test_health_checks_replace_a_primary_by_the_first_backup_that_is_well(app: Perdure, shelves: dict[str, Shelf]) -> None:
    stock = group(app, shelves, check=Shelf.ping, failover=GroupFailover(failure_threshold=2, check_interval=0.001))
    run(app, stock.submit(1, key="a"))
    shelves["eu"].is_down = True
    shelves["us"].is_refusing = True
    assert stock.check() == {"eu": False, "us": False, "ap": True}
    assert stock.snapshot().primary == "eu"
    stock.look_after()
    assert (stock.snapshot().primary, stock.snapshot().epoch) == ("ap", 2)
    assert stock.promotions()[0].reason == "eu failed 2 times in a row, last in a health check"

    shelves["ap"].is_down = True
    stock.check()
    stock.check()
    assert (stock.snapshot().primary, stock.snapshot().epoch) == ("ap", 2), "nobody is well"
    shelves["eu"].is_down = False
    stock.check()
    stock.check()
    assert stock.snapshot().primary == "eu"
    job = stock.submit(1, key="b")
    run(app, job)
    assert (job.result(), shelves["eu"].done) == (2, {"a": 1, "b": 2})


def test_a_check_that_hangs_counts_as_failed(app: Perdure, shelves: dict[str, Shelf]) -> None:
    leave = threading.Event()
    failover = GroupFailover(failure_threshold=1, check_timeout=0.05)
    stock = group(app, shelves, check=lambda shelf: shelf is not shelves["eu"] or leave.wait(30), failover=failover)
    stock.check()
    leave.set()
    assert stock.snapshot().primary == "us"


def test_of_many_supervisors_one_checks_and_one_tells(app: Perdure, shelves: dict[str, Shelf]) -> None:
    asked: list[str] = []
    told: list[Promotion] = []
    stock = group(app, shelves, check=lambda _: asked.append("asked"), failover=GroupFailover(check_interval=60))
    stock.on_promotion(told.append)
    stock.promote("us", reason="by hand")
    at_once([stock.look_after for _ in range(4)])
    assert asked == ["asked"] * 3, "each member once"
    assert [promotion.epoch for promotion in told] == [2]
    stock.look_after()
    assert len(told) == 1


def test_a_hook_that_fails_is_told_again(app: Perdure, shelves: dict[str, Shelf], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perdure.manage.primary_backup.TELL_AGAIN", 0.0)
    stock = group(app, shelves)
    tries: list[int] = []

    @stock.on_promotion
    def tell(promotion: Promotion) -> None:
        tries.append(promotion.epoch)
        if len(tries) < 3:
            raise ConnectionError("the pager is away")

    stock.promote("us", reason="one")
    for _ in range(5):
        stock.look_after()
    assert tries == [2, 2, 2]


def test_by_hand_only(app: Perdure, shelves: dict[str, Shelf]) -> None:
    stock = group(app, shelves, failover=None)
    shelves["eu"].is_down = True
    job = stock.submit(1, key="a")
    assert attempts_until(app, job, "dead") == 4
    assert stock.promotions() == []
    with pytest.raises(SettingsError, match="failure_threshold must be 1 or more"):
        GroupFailover(failure_threshold=0)


def test_a_member_is_brought_on_by_one_operation_after_the_other(app: Perdure) -> None:
    app.ledger.hot(lambda c: replicated_log.ensure(c, "stock", ["eu", "us"]))
    numbers = (2, 1, 1, 2)
    applied = [app.ledger.hot(lambda c, n=number: replicated_log.advance(c, "stock", "us", n)) for number in numbers]
    assert applied == [False, True, False, True]


def test_who_follows() -> None:
    states = {"a": MemberState(5, 0), "b": MemberState(3, 0), "c": MemberState(5, 0), "d": MemberState(5, 0)}
    assert successor("abcd", "a", states, lambda _: True) == "c", "the first of those that have everything"
    assert successor("abcd", "a", states, lambda name: name != "c") == "d"
    assert successor("abcd", "a", states, lambda name: name == "b") == "b"
    assert successor("abcd", "a", states, lambda _: False) is None
