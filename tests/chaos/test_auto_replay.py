"""Auto-replay by real workers: slowly at first, halted when the breaker opens again, and all through in the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from perdure.ledger.records import Death
from perdure.states import DeadReason
from support.cluster import PATIENCE, Cluster
from support.ledgers import DIE, dead
from support.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

DEATH = replace(DIE, death=Death(DeadReason.EXHAUSTED, "f" * 16, "refunds"))
ORDERS = [f"o-{number}" for number in range(10)]


def test_letters_of_a_breaker_come_back_and_halt(
    make_guarded: Callable[..., Cluster], ledger_url: str, redis_url: str
) -> None:
    cluster = make_guarded(ledger_url, redis_url)
    app, breaker = cluster.app, cluster.app.breakers["refunds"]
    breaker.force_open(lasts=None)
    letters = {dead(app.ledger, order, task="refund", settlement=DEATH)[1] for order in ORDERS}
    cluster.worker("refunds")
    cluster.worker("replays", "background")

    def replays() -> list[str]:
        return [record.id for record in app.jobs.list(tag="auto_replay=refund")]

    app.jobs.get(cluster.submit("nested").id).wait(PATIENCE)  # the workers are at work, and replay nothing
    assert replays() == []
    assert app.dead_letters.count(status="open") == len(ORDERS)

    breaker.reset()
    first = app.jobs.get(wait_until(replays, PATIENCE)[0])
    report = first.wait(PATIENCE * 2)  # the service fails again after three
    assert report["halted"] == "the circuit breaker 'refunds' is open", cluster.describe(first)
    assert 3 <= report["replayed"] < len(ORDERS)
    assert app.dead_letters.count(status="open") > 0

    (cluster.folder / "refunds-are-back").touch()
    wait_until(lambda: app.dead_letters.count(status="open") == 0, PATIENCE * 4, message=lambda: cluster.describe(first))
    wait_until(lambda: len(cluster.effects_of("refund")) >= len(ORDERS), PATIENCE * 2)
    done = cluster.effects_of("refund")
    assert sorted(effect.what for effect in done) == sorted(ORDERS)  # each once
    assert {app.dead_letters.get(letter).status for letter in letters} == {"replayed"}
    assert len({app.dead_letters.get(letter).replayed_as for letter in letters}) == len(ORDERS)
