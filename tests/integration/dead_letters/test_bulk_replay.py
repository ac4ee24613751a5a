"""Many letters are replayed by a job: all that match, at a rate, canaries first; a plan says what would happen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from perdure import InvalidArguments, JobHandle, Perdure
from perdure.manage.dead_letters.bulk_replay import ReplayReport
from perdure.manage.dead_letters.halted import halted
from perdure.model.dead_letter import Actor
from support.cli import invoke
from support.inline import run, run_once
from support.ledgers import DIE, SUCCEED, claimed
from support.waiting import wait_until

pytestmark = pytest.mark.slow

Die = Callable[..., str]


def replayed(shop: Perdure, **how: Any) -> ReplayReport:
    job = shop.dead_letters.replay_many(**how)
    assert run(shop, job) == "succeeded", job.error
    return job.result()


def jobs_of(shop: Perdure, letters: list[str]) -> list[JobHandle[Any]]:
    return [shop.jobs.get(shop.dead_letters.get(letter).replayed_as or "") for letter in letters]


def test_all_that_match_are_replayed_the_oldest_first(shop: Perdure, die: Die) -> None:
    charged, mailed = [die() for _ in range(5)], die("shop.mail")
    gone = die()
    shop.dead_letters.discard(gone, "no")
    job = shop.dead_letters.replay_many(task="shop.charge", by="ann", source="a test")
    late = die()

    assert run(shop, job) == "succeeded"

    report = job.result()
    assert (report.total, report.replayed, report.skipped, report.halted) == (5, 5, {}, None)
    made = [handle.record.id for handle in jobs_of(shop, charged)]
    assert made == sorted(made)
    assert {shop.dead_letters.get(letter).replayed_in for letter in charged} == {job.id}
    assert [shop.dead_letters.get(letter).status for letter in (mailed, gone, late)] == ["open", "discarded", "open"]
    assert (job.progress.done, job.progress.total) == (5, 5)  # type: ignore[union-attr]
    actions = [entry.action for entry in reversed(shop.dead_letters.audit())]
    assert actions == ["discard", "replay_many", *["replay"] * 5, "replay_many_ended"]
    assert {(entry.who, entry.source) for entry in shop.dead_letters.audit()} >= {("ann", "a test")}


def test_what_cannot_be_replayed_is_skipped_and_named(shop: Perdure, die: Die) -> None:
    good, strange, old = die(), die("shop.gone", "x"), die("shop.charge", "o-1", 5, "EUR")
    refused = die("shop.mail", breaker="smtp")
    shop.dead_letters.replayer.breaker_is_open = lambda name: name == "smtp"  # type: ignore[method-assign]
    report = replayed(shop, by="ann")
    assert (report.total, report.replayed) == (4, 1)
    assert report.skipped == {"does_not_fit": 2, "breaker_open": 1}
    assert {example["letter_id"] for example in report.examples} == {strange, old, refused}
    assert shop.dead_letters.get(good).status == "replayed"
    assert shop.dead_letters.count(status="open") == 3


def test_a_plan_says_what_would_happen_and_writes_nothing(shop: Perdure, die: Die) -> None:
    letters = [die() for _ in range(6)]
    old, _refused = die("shop.charge", "o-1", 5, "EUR"), die("shop.mail", breaker="smtp")
    shop.dead_letters.replayer.breaker_is_open = lambda name: name == "smtp"  # type: ignore[method-assign]
    before = shop.jobs.count(), shop.dead_letters.audit()

    plan = shop.dead_letters.replay_many(rate="2/s", dry_run=True, canary=2)

    assert (plan.count, plan.checked, plan.by_task) == (8, 8, {"shop.charge": 7, "shop.mail": 1})
    assert (plan.does_not_fit, plan.examples[0]["letter_id"]) == (1, old)
    assert "too many positional" in plan.examples[0]["why"]
    assert (plan.breakers, plan.breaker_open) == ({"payments": False, "smtp": True}, 1)
    assert (plan.rate, plan.canary, plan.estimated_seconds) == (2.0, 2, 3.0)
    assert (shop.jobs.count(), shop.dead_letters.audit()) == before
    assert shop.dead_letters.get(letters[0]).status == "open"


@pytest.mark.slow
def test_a_run_that_was_lost_half_way_is_gone_on_with(shop: Perdure, die: Die) -> None:
    letters = [die() for _ in range(6)]
    job = shop.dead_letters.replay_many(rate="0.25/s")  # a letter at a time
    assert run_once(shop, job) == "retrying"
    # The worker dies after it has replayed a letter, and before its checkpoint.
    item = shop.dead_letters.replayer.prepare(shop.dead_letters.get(letters[1]))
    shop.dead_letters.replayer.write([item], Actor("x", "y"), batch=job.id)
    wait_until(lambda: job.state == "queued", 30)
    assert run_once(shop, job) == "retrying"
    assert [shop.dead_letters.get(letter).status for letter in letters[:3]] == ["replayed"] * 3
    assert len({shop.dead_letters.get(letter).replayed_as for letter in letters[:3]}) == 3
    assert shop.jobs.count("task")["shop.charge"] == 9
    assert job.progress.done == 3  # type: ignore[union-attr]


def test_force_replays_each_once_more(shop: Perdure, die: Die) -> None:
    letters = [die() for _ in range(3)]
    first = [shop.dead_letters.replay(letter).id for letter in letters]
    assert replayed(shop).replayed == 0
    report = replayed(shop, force=True, status="replayed")
    assert (report.replayed, report.skipped) == (3, {})
    again = [handle.id for handle in jobs_of(shop, letters)]
    assert len({*first, *again}) == 6


def settle_all(shop: Perdure, letters: list[str], *, dead: int = 0) -> None:
    for index, job in enumerate(jobs_of(shop, letters)):
        shop.ledger.jobs.settle(claimed(shop.ledger, job.id), DIE if index < dead else SUCCEED)


def with_canaries(shop: Perdure, letters: list[str], *, dead: int, **how: Any) -> ReplayReport:
    """Start a bulk replay with two canaries, let some of them die, and let it end."""
    job = shop.dead_letters.replay_many(canary=2, **how)
    assert run_once(shop, job) == "retrying"
    assert [shop.dead_letters.get(letter).status for letter in letters] == ["replayed"] * 2 + ["open"] * 3
    settle_all(shop, letters[:2], dead=dead)
    assert run(shop, job) == "succeeded"
    return job.result()


def test_the_rest_follows_when_the_canaries_succeeded(shop: Perdure, die: Die) -> None:
    letters = [die() for _ in range(5)]
    report = with_canaries(shop, letters, dead=0)
    assert (report.replayed, report.halted, report.canary_passed) == (5, None, True)


def test_it_halts_when_a_canary_fails(shop: Perdure, die: Die) -> None:
    letters = [die() for _ in range(5)]
    report = with_canaries(shop, letters, dead=1)
    assert (report.replayed, report.halted) == (2, "1 of the first 2 replays failed")
    progress = shop.jobs.list(task="perdure.replay")[0].progress
    assert progress is not None
    assert (progress.done, progress.total) == (2, 5)
    assert shop.dead_letters.count(status="open") == 4  # the three, and the canary that died again


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_halted_replay_is_no_success_for_who_waits(shop: Perdure, die: Die, options: list[str]) -> None:
    letters = [die() for _ in range(5)]
    with_canaries(shop, letters, dead=1)
    [job] = shop.jobs.list(task="perdure.replay")
    done = invoke(shop, "jobs", "wait", job.id[-12:], *options)
    assert done.exit_code == 6
    assert "halted: 2 of 5 letters replayed" in done.stderr
    assert "1 of the first 2 replays failed" in done.stderr
    assert str(halted(job.record)).startswith("halted: 2 of 5")


def test_a_replay_that_did_all_is_a_success_for_who_waits(shop: Perdure, die: Die) -> None:
    with_canaries(shop, [die() for _ in range(5)], dead=0)
    [job] = shop.jobs.list(task="perdure.replay")
    assert halted(job.record) is None
    assert invoke(shop, "jobs", "wait", job.id).exit_code == 0


def test_canaries_may_fail_up_to_a_limit(shop: Perdure, die: Die) -> None:
    letters = [die() for _ in range(5)]
    assert with_canaries(shop, letters, dead=1, max_failure_rate=0.5).replayed == 5


def test_it_halts_when_too_many_fail(shop: Perdure, die: Die) -> None:
    letters = [die() for _ in range(14)]
    job = shop.dead_letters.replay_many(max_failure_rate=0.3)
    items = [shop.dead_letters.replayer.prepare(shop.dead_letters.get(letter)) for letter in letters[:12]]
    shop.dead_letters.replayer.write(items, Actor("x", "y"), batch=job.id)  # as a run before this one did
    settle_all(shop, letters[:12], dead=4)
    assert run(shop, job) == "succeeded"
    assert job.result().halted == "4 of 12 replays failed, more than 30%"
    assert shop.dead_letters.count(status="open") == 6


def test_a_rate_is_kept(shop: Perdure, die: Die) -> None:
    letters = [die() for _ in range(10)]
    started = time.monotonic()
    assert replayed(shop, rate="20/s").replayed == 10
    assert time.monotonic() - started >= 0.45
    assert len(letters) == 10


def test_another_bulkhead_and_the_checkpoint(shop: Perdure, die: Die) -> None:
    letter_id = die()
    assert replayed(shop, to_bulkhead="background", from_checkpoint=True).replayed == 1
    assert jobs_of(shop, [letter_id])[0].bulkhead == "background"


@pytest.mark.parametrize(
    "how",
    [{"rate": "fast"}, {"rate": "5/d"}, {"rate": 0}, {"canary": -1}, {"max_failure_rate": 2}, {"tsk": "x"}],
)
def test_what_is_wrong_is_refused(shop: Perdure, how: dict[str, Any]) -> None:
    with pytest.raises(InvalidArguments):
        shop.dead_letters.replay_many(**how)
    assert shop.jobs.count() == {}


@pytest.mark.slow
def test_a_full_bulkhead_is_waited_for(shop: Perdure, die: Die) -> None:
    letters = [die() for _ in range(3)]
    shop.settings.bulkheads["critical"].max_depth = 2
    job = shop.dead_letters.replay_many(rate="4/s")
    assert run_once(shop, job) == "retrying"
    for letter in jobs_of(shop, letters[:2]):
        shop.ledger.jobs.settle(claimed(shop.ledger, letter.id), SUCCEED)
    assert run(shop, job) == "succeeded"
    assert job.result().replayed == 3
