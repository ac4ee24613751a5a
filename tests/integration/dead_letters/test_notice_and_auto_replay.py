"""Somebody is told of faults once; letters that died of a breaker are replayed when it is not open any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from perdure import AutoReplay, JobHandle, Perdure
from perdure.errors import InvalidJobDefinition
from perdure.manage.dead_letters.auto_replay import replay_what_can_run
from perdure.manage.dead_letters.bulk_replay import ReplayReport
from perdure.model.dead_letter_notices import DeadLetterNotice
from perdure_workers.supervisor.duties.notice import Notice
from perdure_workers.supervisor.supervisor import default_duties
from support.inline import run
from support.ledgers import DIE, claimed
from support.waiting import wait_until

pytestmark = pytest.mark.slow

Die = Callable[..., str]


def what_can_run(app: Perdure) -> list[JobHandle[ReplayReport]]:
    return replay_what_can_run(list(app.tasks.values()), app.ledger, lambda: app.dead_letters)


def test_notices_are_given_once_to_hooks(shop: Perdure, die: Die) -> None:
    told: list[tuple[str, str, int, int]] = []

    @shop.dead_letters.subscribe
    def tell(notice: DeadLetterNotice) -> None:
        told.append((str(notice.kind), notice.group.task, notice.before, notice.now))

    new: list[DeadLetterNotice] = []
    grown: list[DeadLetterNotice] = []
    back: list[DeadLetterNotice] = []
    shop.dead_letters.on_new_group(new.append)
    shop.dead_letters.on_growth(grown.append)
    shop.dead_letters.on_boomerang(back.append)
    duties = [Notice(shop), Notice(shop)]

    first = die()
    assert [duty.run_once() for duty in duties] == [1, 0]
    assert told == [("new_group", "shop.charge", 0, 1)]
    for _ in range(8):
        die()
    assert duties[0].run_once() == 0  # it is told of when it has grown since it was told of
    die()
    assert [duty.run_once() for duty in duties] == [1, 0]
    assert told[1:] == [("growth", "shop.charge", 1, 10)]
    job = shop.dead_letters.replay(first)
    shop.ledger.jobs.settle(claimed(shop.ledger, job.id), DIE)
    duties[0].run_once()
    assert told[2:] == [("new_group", "shop.charge", 0, 1), ("boomerang", "shop.charge", 0, 1)]  # it died of something else
    assert (len(new), len(grown), len(back)) == (2, 1, 1)
    shop.dead_letters.discard_many("x")
    assert duties[0].run_once() == 0


@pytest.fixture
def policed(shop: Perdure) -> Perdure:
    """The shop, with a task whose letters are replayed by themselves."""

    @shop.job(name="shop.refund", breaker="payments", auto_replay=AutoReplay(rate="100/s", max_replays=2))
    def refund(order: str) -> str:
        return order

    return shop


def died(die: Die, count: int, **options: object) -> list[str]:
    return [die("shop.refund", f"o-{number}", breaker="payments", **options) for number in range(count)]


def test_letters_are_replayed_when_their_breaker_has_closed(policed: Perdure, die: Die) -> None:
    open_breakers = {"payments"}
    policed.dead_letters.replayer.breaker_is_open = open_breakers.__contains__  # type: ignore[method-assign]
    letters, other, no_breaker = died(die, 5), die(breaker="payments"), die("shop.refund", "o-9")

    assert what_can_run(policed) == []
    open_breakers.clear()
    [job] = what_can_run(policed)
    assert what_can_run(policed) == []  # one at a time

    assert run(policed, job) == "succeeded"
    report = job.result()
    assert (report.total, report.replayed, report.halted) == (5, 5, None)
    assert {policed.dead_letters.get(letter).status for letter in letters} == {"replayed"}
    assert {policed.dead_letters.get(letter).status for letter in (other, no_breaker)} == {"open"}
    assert {entry.who for entry in policed.dead_letters.audit()} == {"auto-replay"}
    assert what_can_run(policed) == []


def test_it_starts_slowly_and_halts_when_the_breaker_opens_again(policed: Perdure, die: Die) -> None:
    open_breakers: set[str] = set()
    policed.dead_letters.replayer.breaker_is_open = open_breakers.__contains__  # type: ignore[method-assign]
    letters, sizes = died(die, 12), []
    write = policed.dead_letters.replayer.write

    def watched(items: Any, *args: Any, **options: Any) -> Any:
        sizes.append(len(items))
        result = write(items, *args, **options)
        if len(sizes) == 3:
            open_breakers.add("payments")
        return result

    policed.dead_letters.replayer.write = watched  # type: ignore[method-assign]
    [job] = what_can_run(policed)
    assert run(policed, job) == "succeeded"
    report = job.result()
    assert sizes == [1, 1, 2]  # letters in a second, then in a half, then in a half of twice as fast
    assert (report.replayed, report.halted) == (4, "the circuit breaker 'payments' is open")
    assert policed.dead_letters.count(status="open") == 8

    open_breakers.clear()
    [again] = wait_until(lambda: what_can_run(policed), 30)
    assert run(policed, again) == "succeeded"
    assert again.result().replayed == 8
    assert len({policed.dead_letters.get(letter).replayed_as for letter in letters}) == 12


def test_what_keeps_dying_waits_for_a_person(policed: Perdure, die: Die) -> None:
    from msgspec.structs import replace

    from perdure.model.records import Death
    from perdure.model.states import DeadReason

    policed.dead_letters.replayer.breaker_is_open = lambda _name: False  # type: ignore[method-assign]
    death = replace(DIE, death=Death(DeadReason.EXHAUSTED, "f" * 16, "payments"))
    [letter] = died(die, 1)
    for _ in range(2):
        [job] = wait_until(lambda: what_can_run(policed), 30)
        assert run(policed, job) == "succeeded"
        replayed = policed.dead_letters.get(letter).replayed_as or ""
        letter = policed.ledger.jobs.settle(claimed(policed.ledger, replayed), death) or ""
    assert policed.dead_letters.get(letter).generation == 2
    assert what_can_run(policed) == []
    assert policed.dead_letters.get(letter).status == "open"


def test_the_supervisor_does_both(policed: Perdure) -> None:
    assert {"notice", "auto_replay"} <= {duty.name for duty in default_duties(policed)}


@pytest.mark.parametrize(
    "options",
    [{"auto_replay": True}, {"auto_replay": "yes", "breaker": "payments"}],
)
def test_a_policy_that_cannot_be_is_refused(shop: Perdure, options: dict[str, object]) -> None:
    with pytest.raises(InvalidJobDefinition, match="auto_replay="):
        shop.job(name="shop.odd", **options)(lambda: None)  # type: ignore[call-overload]
    with pytest.raises(InvalidJobDefinition, match="max_replays"):
        AutoReplay(max_replays=0)
