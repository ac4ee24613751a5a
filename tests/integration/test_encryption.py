"""With encryption on, whoever can write to the database chooses neither what runs nor with what, nor what is believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import update

from perdure import JobHandle, Perdure
from perdure.ledger.schema import dead_letters, jobs
from perdure.model.storage_errors import LetterUnopened, Undecipherable
from perdure.stores.encryption.cipher import Cipher, KeyRing, Place
from support.inline import run
from support.ledgers import DIE, claimed

KEYS = KeyRing.generate("k1")


def shop(ledger_url: str, redis_url: str, **settings: Any) -> Perdure:
    app = Perdure(ledger_url=ledger_url, broker_url=redis_url, encryption_keys=KEYS, **settings)
    for name in ("pay", "refund"):
        app.register(_action(name), name=f"shop.{name}", retry="none")
    return app


def _action(name: str) -> Callable[[int], str]:
    def action(cents: int) -> str:
        return f"{name} {cents}"

    return action


@pytest.fixture
def app(migrated_url: str, redis_url: str) -> Iterator[Perdure]:
    app = shop(migrated_url, redis_url)
    yield app
    app.close()


@pytest.fixture
def lenient(migrated_url: str, redis_url: str) -> Iterator[Perdure]:
    app = shop(migrated_url, redis_url, encryption_accept_plain=True)
    yield app
    app.close()


def put(app: Perdure, job: JobHandle[object], **values: str) -> None:
    app.ledger.transact(lambda c: c.execute(update(jobs).where(jobs.c.id == job.id).values(**values)))


def test_a_job_that_was_given_another_task_does_not_run(app: Perdure) -> None:
    job = app.task("shop.pay").submit(5)
    put(app, job, task="shop.refund")
    assert run(app, job) == "dead"
    assert "given another task" in (job.error or "")


def test_arguments_that_are_not_sealed_do_not_run(app: Perdure, lenient: Perdure) -> None:
    job, other = app.task("shop.pay").submit(5), app.task("shop.pay").submit(5)
    put(app, job, args="[1000]")
    put(app, other, args="[1000]")
    assert run(app, job) == "dead"
    assert "set encryption_accept_plain = true" in (job.error or "")
    assert run(lenient, lenient.jobs.get(other.id)) == "succeeded"
    assert lenient.jobs.get(other.id).result() == "pay 1000"


def test_a_result_that_is_not_sealed_is_not_believed(app: Perdure, lenient: Perdure) -> None:
    job = app.task("shop.pay").submit(5)
    run(app, job)
    assert job.result() == "pay 5"
    put(app, job, result='"forged"')
    with pytest.raises(Undecipherable, match=r"result of job .+ is not sealed"):
        job.result()
    assert lenient.jobs.get(job.id).result() == "forged"


def test_a_letter_that_is_not_sealed_is_not_replayed(app: Perdure, lenient: Perdure) -> None:
    job = app.task("shop.pay").submit(5)
    letter = app.ledger.jobs.settle(claimed(app.ledger, job.id), DIE)
    assert letter is not None
    app.ledger.transact(lambda c: c.execute(update(dead_letters).values(args="[1000]")))
    with pytest.raises(LetterUnopened, match="set encryption_accept_plain = true"):
        app.dead_letters.replay(letter)
    assert "not sealed" in app.dead_letters.get(letter).unopened["args"]
    assert run(lenient, lenient.dead_letters.replay(letter)) == "succeeded"


def test_what_older_releases_sealed_without_a_task_goes_on(app: Perdure) -> None:
    job = app.task("shop.pay").submit(5)
    cipher = Cipher(KeyRing.parse(KEYS))
    put(app, job, args=cipher.seal("[7]", Place("args", job.id)), kwargs=cipher.seal("{}", Place("kwargs", job.id)))
    assert run(app, job) == "succeeded"
    assert job.result() == "pay 7"
    assert job.refresh().record.args == [7]
