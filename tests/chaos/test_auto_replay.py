"""Dead letters of a breaker are replayed by themselves when the service behind it is back, in real workers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from perdure import JobHandle
from perdure.model.records import Death
from perdure.model.states import DeadReason
from support.cluster import PATIENCE, Cluster
from support.ledgers import DIE, dead
from support.waiting import wait_until

pytestmark = pytest.mark.chaos

DEATH = replace(DIE, death=Death(DeadReason.EXHAUSTED, "f" * 16, "payouts"))
ORDERS = [f"o-{number}" for number in range(20)]


@pytest.fixture
def cluster(make_guarded: Callable[..., Cluster], ledger_url: str, redis_url: str) -> Cluster:
    return make_guarded(ledger_url, redis_url)


@pytest.mark.timeout(300)
def test_letters_go_when_the_breaker_has_closed(cluster: Cluster) -> None:
    app = cluster.app
    (cluster.folder / "down").touch()
    cluster.worker("w1")
    cluster.worker("b1", "background")
    jobs = [cluster.submit("refund", number) for number in range(20)]
    # Two failures open the breaker; then the trial calls fail, one each second.
    wait_until(lambda: app.dead_letters.count(breaker="payments") >= 3, PATIENCE)
    wait_until(lambda: app.breakers["payments"].state != "closed", PATIENCE)

    (cluster.folder / "down").unlink()

    def has_succeeded(job: JobHandle[int]) -> bool:
        return any(entry.state == "succeeded" for entry in app.dead_letters.lineage(job.id))

    wait_until(lambda: all(has_succeeded(job) for job in jobs), 3 * PATIENCE)
    assert len([job for job in jobs if job.state == "dead"]) >= 3
    assert app.dead_letters.count(status="open") == 0
    assert {letter.replayed_by for letter in app.dead_letters.list(limit=100)} == {"auto-replay"}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_a_replay_halts_when_the_breaker_opens_again(
    make_guarded: Callable[..., Cluster], ledger_url: str, redis_url: str
) -> None:
    cluster = make_guarded(ledger_url, redis_url)
    app, breaker = cluster.app, cluster.app.breakers["payouts"]
    breaker.force_open(lasts=None)
    letters = {dead(app.ledger, order, task="pay out", settlement=DEATH)[1] for order in ORDERS}
    cluster.worker("payouts")
    cluster.worker("replays", "background")

    def replays() -> list[str]:
        return [record.id for record in app.jobs.list(tag="auto_replay=pay out")]

    app.jobs.get(cluster.submit("nested").id).wait(PATIENCE)  # the workers are at work, and replay nothing
    assert replays() == []
    assert app.dead_letters.count(status="open") == len(ORDERS)

    breaker.reset()
    first = app.jobs.get(wait_until(replays, PATIENCE)[0])
    report = first.wait(PATIENCE * 2)  # the service fails again after three
    assert report["halted"] == "the circuit breaker 'payouts' is open", cluster.describe(first)
    assert 3 <= report["replayed"] < len(ORDERS)
    assert app.dead_letters.count(status="open") > 0

    (cluster.folder / "payouts-are-back").touch()
    wait_until(lambda: app.dead_letters.count(status="open") == 0, PATIENCE * 4, message=lambda: cluster.describe(first))
    wait_until(lambda: len(cluster.effects_of("payouts")) >= len(ORDERS), PATIENCE * 2)
    done = cluster.effects_of("payouts")
    assert sorted(effect.what for effect in done) == sorted(ORDERS)  # each once
    assert {app.dead_letters.get(letter).status for letter in letters} == {"replayed"}
    assert len({app.dead_letters.get(letter).replayed_as for letter in letters}) == len(ORDERS)
