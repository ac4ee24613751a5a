"""Failover: when a group switches, that one process does it, and that it does not flap."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Barrier, Event, Thread
from typing import Any

import pytest
import redis

from perdure.errors import SettingsError
from perdure.resilience.errors import NotCalled
from perdure.resilience.failover.decision import GroupState, decide
from perdure.resilience.failover.group import FailoverConfig, FailoverGroup, Member
from perdure.resilience.failover.store import FailoverRecord


class Down(Exception):
    pass


class Site:
    def __init__(self, name: str) -> None:
        self.name, self.up, self.calls = name, True, 0

    def ping(self) -> str:
        self.calls += 1
        if not self.up:
            raise Down(self.name)
        return self.name


@pytest.fixture
def sites() -> list[Site]:
    return [Site("eu"), Site("us"), Site("asia")]


def make(url: str, sites: list[Site], *, checks: bool = True, **config: Any) -> FailoverGroup[Site]:
    members = [Member(site.name, site, site.ping if checks else None) for site in sites]
    return FailoverGroup(url, "mail", members, FailoverConfig(**({"max_staleness": 0.0} | config)))


ORDER = ["eu", "us", "asia"]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (GroupState("eu"), None),
        (GroupState("eu", failures={"eu": 2}), None),
        (GroupState("eu", failures={"eu": 3}), "us"),
        (GroupState("eu", failures={"eu": 3, "us": 3}), "asia"),
        (GroupState("eu", failures={"eu": 3, "us": 3, "asia": 3}), None),
        (GroupState("gone"), "eu"),
        (GroupState("us", healthy_since={"eu": 40_001}), None),
        (GroupState("us", healthy_since={"eu": 40_000}), "eu"),
        (GroupState("us", since_ms=40_001, healthy_since={"eu": 1}), None),
        (GroupState("asia", healthy_since={"us": 1}), "us"),
        (GroupState("us", healthy_since={"asia": 1}), None),
    ],
)
def test_decisions(state: GroupState, expected: str | None) -> None:
    choice = decide(ORDER, state, 100_000, failure_threshold=3, return_after_ms=60_000)
    assert (choice and choice[0]) == expected


def test_switches_after_failures_in_a_row_and_calls_again(redis_url: str, sites: list[Site]) -> None:
    group, other = make(redis_url, sites), make(redis_url, sites)
    seen: list[FailoverRecord] = []
    group.listen(seen.append)
    assert group.call(Site.ping) == "eu"
    sites[0].up = False
    for each in (group, other):
        with pytest.raises(Down):
            each.call(Site.ping)
    assert group.call(Site.ping) == "us", "the third failure switches, and the call goes to the new one"
    assert other.current.name == "us"
    assert group.epoch == 1
    assert [(r.from_member, r.to_member, r.epoch, r.reason) for r in group.records()] == [
        ("eu", "us", 1, "eu failed 3 times in a row")
    ]
    assert seen == group.records()
    assert other.snapshot().healthy == {"eu": False, "us": True, "asia": True}


def test_a_success_between_failures_starts_the_count_again(redis_url: str, sites: list[Site]) -> None:
    group = make(redis_url, sites, failure_threshold=2)
    for _ in range(3):
        sites[0].up = False
        with pytest.raises(Down):
            group.call(Site.ping)
        sites[0].up = True
        group.call(Site.ping)
    assert group.current.name == "eu"


def test_returns_to_the_preferred_one_after_it_was_healthy_for_a_while(redis_url: str, sites: list[Site]) -> None:
    group = make(redis_url, sites, failure_threshold=1)
    sites[0].up = False
    assert group.call(Site.ping) == "us"
    sites[0].up = True
    assert group.check() == {"eu": True, "us": True, "asia": True}
    assert group.current.name == "us", "one good check is not enough"
    with redis.Redis.from_url(redis_url) as client:
        key = "perdure:failover:{mail}"
        long_ago = int(client.time()[0]) * 1000 - 61_000
        client.hset(key, mapping={"healthy_since:eu": long_ago, "since_ms": long_ago})
        sites[0].up = False
        group.check()
        assert group.current.name == "us", "a failure in between starts the time again"
        sites[0].up = True
        group.check()
        client.hset(key, mapping={"healthy_since:eu": long_ago})
    assert group.current.name == "eu"


def test_a_member_without_check_is_tried_again_after_a_while(
    redis_url: str, sites: list[Site], until: Callable[..., None]
) -> None:
    group = make(redis_url, sites, checks=False, failure_threshold=1, return_after=0.05)
    sites[0].up = False
    assert group.call(Site.ping) == "us"
    sites[0].up = True
    until(lambda: group.current.name == "eu", "the preferred one to be tried again")
    assert group.call(Site.ping) == "eu"


def test_of_many_that_notice_one_switches(redis_url: str, sites: list[Site]) -> None:
    groups = [make(redis_url, sites, failure_threshold=1) for _ in range(8)]
    sites[0].up = False
    start = Barrier(8)
    served: list[str] = []

    def work(group: FailoverGroup[Site]) -> None:
        start.wait()
        served.append(group.call(Site.ping))

    threads = [Thread(target=work, args=(group,)) for group in groups]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert served == ["us"] * 8
    assert len(groups[0].records()) == 1
    assert groups[0].snapshot().epoch == 1


def test_async_calls_switch_as_well(redis_url: str, sites: list[Site]) -> None:
    async def ping(site: Site) -> str:
        return site.ping()

    async def run() -> None:
        group = make(redis_url, sites, failure_threshold=2)
        sites[0].up = False
        with pytest.raises(Down):
            await group.call_async(ping)
        assert await group.call_async(ping) == "us"
        assert [record.to_member for record in group.records()] == ["us"]

    asyncio.run(run())


def test_all_down_stays_and_raises(redis_url: str, sites: list[Site]) -> None:
    group = make(redis_url, sites, failure_threshold=1)
    for site in sites:
        site.up = False
    with pytest.raises(Down, match="asia"):
        group.call(Site.ping)
    with pytest.raises(Down):
        group.call(Site.ping)


@pytest.mark.parametrize("in_loop", [False, True])
@pytest.mark.parametrize("back", [0, 1, 2])
def test_whichever_comes_back_first_after_all_were_down_serves(
    redis_url: str, sites: list[Site], back: int, in_loop: bool
) -> None:
    group = make(redis_url, sites, checks=False, failure_threshold=2, retry_after=0.0)

    def call() -> Any:
        return asyncio.run(group.call_async(ping_async)) if in_loop else group.call(Site.ping)

    for site in sites:
        site.up = False
    for _ in range(10):
        with pytest.raises(Down):
            call()
    sites[back].up = True
    assert call() == sites[back].name
    assert group.current.name == sites[back].name
    assert len(group.records()) <= 3, "members that do not answer are tried without a switch"


async def ping_async(site: Site) -> str:
    return site.ping()


def test_a_member_that_failed_is_tried_once_per_retry_after_in_all_processes(redis_url: str, sites: list[Site]) -> None:
    groups = [make(redis_url, sites, failure_threshold=1, retry_after=60.0) for _ in range(3)]
    for site in sites:
        site.up = False
    for group in groups * 20:
        with pytest.raises(Down):
            group.call(Site.ping)
    current = groups[0].current.name
    assert all(site.calls <= 3 for site in sites if site.name != current)


def test_half_open_trials_go_on_without_redis(own_redis: Any, sites: list[Site]) -> None:
    group = make(own_redis.url, sites, failure_threshold=1, retry_after=0.0)
    own_redis.kill()
    for site in sites:
        site.up = False
    with pytest.raises(Down):
        group.call(Site.ping)
    sites[0].up = True
    assert group.call(Site.ping) == "eu"


@pytest.mark.parametrize("in_loop", [False, True])
def test_a_backup_answers_the_first_failure_where_asked(redis_url: str, sites: list[Site], in_loop: bool) -> None:
    group = make(redis_url, sites, failure_threshold=3, answer_from_backup=True)
    sites[0].up = False
    for _ in range(3):
        answer = asyncio.run(group.call_async(ping_async)) if in_loop else group.call(Site.ping)
        assert answer == "us"
        assert group.snapshot().failures["us"] == 0
    assert group.current.name == "us"


def test_a_refusal_before_the_call_is_answered_by_a_backup_where_asked_and_counts_for_nothing(
    redis_url: str, sites: list[Site]
) -> None:
    def refused(site: Site) -> str:
        if site.name == "eu":
            raise NotCalled("its breaker is open", 1.0)
        return site.ping()

    with pytest.raises(NotCalled):
        make(redis_url, sites).call(refused)
    group = make(redis_url, sites, answer_from_backup=True)
    assert group.call(refused) == "us"
    assert group.snapshot().failures["eu"] == 0


def test_an_error_that_is_ignored_is_the_callers(redis_url: str, sites: list[Site]) -> None:
    group = make(redis_url, sites, failure_threshold=1, ignore=(Down,), answer_from_backup=True)
    sites[0].up = False
    with pytest.raises(Down, match="eu"):
        group.call(Site.ping)
    assert group.snapshot().failures["eu"] == 0


def test_the_error_names_what_all_members_said(redis_url: str, sites: list[Site]) -> None:
    group = make(redis_url, sites, answer_from_backup=True)
    for site in sites:
        site.up = False
    with pytest.raises(Down, match="asia") as raised:
        group.call(Site.ping)
    assert [note.split()[1] for note in raised.value.__notes__] == ["eu", "us"]


def test_a_check_that_hangs_holds_up_neither_the_others_nor_stop(
    redis_url: str, sites: list[Site], until: Callable[..., None]
) -> None:
    never, hung = Event(), []

    def hangs() -> None:
        hung.append(1)
        never.wait()

    async def well() -> None:
        await asyncio.sleep(0)

    members = [Member("eu", sites[0], hangs), Member("us", sites[1], well)]
    config = FailoverConfig(failure_threshold=2, check_interval=0.02, check_timeout=0.05, max_staleness=0.0)
    group = FailoverGroup(redis_url, "mail", members, config)
    group.start()
    until(lambda: group.current.name == "us", "the check to be given up twice")
    group.stop()
    assert len(hung) == 1, "it is not started again while it hangs"
    group.start()
    group.stop()
    never.set()


def test_stop_may_be_called_by_a_listener(redis_url: str, sites: list[Site], until: Callable[..., None]) -> None:
    group = make(redis_url, sites, failure_threshold=1, check_interval=0.02)
    stopped = Event()

    def stop(_record: FailoverRecord) -> None:
        group.stop()
        stopped.set()

    group.listen(stop)
    sites[0].up = False
    group.start()
    until(stopped.is_set, "the switch")


@pytest.mark.parametrize("wrong", [{"failure_threshold": 0}, {"check_timeout": 0}, {"return_after": -1}])
def test_wrong_numbers_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        FailoverConfig(**wrong)


def test_promotion_by_hand(redis_url: str, sites: list[Site]) -> None:
    group = make(redis_url, sites)
    group.promote("asia", reason="maintenance", by="ann")
    assert group.call(Site.ping) == "asia"
    assert (group.records()[0].by, group.records()[0].reason) == ("ann", "maintenance")
    with pytest.raises(KeyError, match="no member 'mars'"):
        group.promote("mars", reason="")


def test_background_checks_switch(redis_url: str, sites: list[Site], until: Callable[..., None]) -> None:
    group = make(redis_url, sites, failure_threshold=2, check_interval=0.02)
    sites[0].up = False
    group.start()
    until(lambda: group.current.name == "us", "the checks")
    group.stop()


def test_goes_on_alone_while_redis_is_away(own_redis: Any, sites: list[Site], until: Callable[..., None]) -> None:
    group = make(own_redis.url, sites, failure_threshold=1)
    group.promote("us", reason="test")
    own_redis.kill()
    assert group.current.name == "us", "what was known last"
    sites[1].up = False
    assert group.call(Site.ping) == "eu"
    assert not group.snapshot().shared
    own_redis.start()
    until(lambda: group.snapshot().shared, "the shared state")


def test_wrong_members_are_refused(redis_url: str) -> None:
    with pytest.raises(SettingsError):
        FailoverGroup(redis_url, "mail", [])
    with pytest.raises(SettingsError):
        FailoverGroup(redis_url, "mail", [Member("a", 1), Member("a", 2)])
