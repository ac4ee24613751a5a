"""Failover between services that do the same: one current member for all processes.

    group = FailoverGroup(redis, "mail", [
        Member("eu", eu_client, check=eu_client.ping),
        Member("us", us_client, check=us_client.ping),
    ])
    group.call(lambda client: client.send(message))

The current member is sticky: it stays until it fails ``failure_threshold`` times in a row, and a preferred one gets its
place back after it was healthy for ``return_after``. While all have failed, a call tries each of the others once in
``retry_after``; the first that answers is current. Health checks run by :meth:`FailoverGroup.check` (or the thread that
:meth:`~FailoverGroup.start` starts), in one process at a time, each with a time limit.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

from msgspec import Struct
from redis import Redis

from perdure.errors import SettingsError
from perdure.resilience.config_checks import check_numbers
from perdure.resilience.errors import NotCalled, check_name
from perdure.resilience.failover.decision import GroupState, decide
from perdure.resilience.failover.store import FailoverRecord, GroupStore, LocalGroup, SharedGroup
from perdure.resilience.listeners import Listeners
from perdure.resilience.probe import Check, Probe, ask_all
from perdure.resilience.redis.keys import DEFAULT_PREFIX, failover_key
from perdure.resilience.redis.link import Clock, RedisLink, SharedStateUnavailable
from perdure.resilience.watcher import Watcher
from perdure.system.who import whoami

NO_EXPIRY = -1
"""What Redis says of the life of a key that stays."""

S = TypeVar("S")
R = TypeVar("R")

log = logging.getLogger("perdure.resilience")


class FailoverConfig(Struct, frozen=True, kw_only=True):
    """When a group switches. Times are in seconds.

    Args:
        failure_threshold: failures in a row, of calls and checks in all processes, after which a member is left.
        return_after: how long a preferred member must be healthy before it is current again, and how long any member
            stays current before that.
        retry_after: while all members have failed, how often a call tries one that is not current (half-open).
        answer_from_backup: a call that fails is answered by another member at once, also before the group switches. It
            may then run twice, so what it does must be idempotent.
        check_interval: between health checks.
        check_timeout: for one health check.
        max_staleness: how long a process may go on with the member that it knew last.
        expected: errors of calls that count as the member's failures.
        ignore: those among them that do not, such as answers of the service.
    """

    failure_threshold: int = 3
    return_after: float = 60.0
    retry_after: float = 5.0
    answer_from_backup: bool = False
    check_interval: float = 5.0
    check_timeout: float = 5.0
    max_staleness: float = 1.0
    expected: tuple[type[Exception], ...] = (Exception,)
    ignore: tuple[type[Exception], ...] = ()

    def __post_init__(self) -> None:
        check_numbers(
            "failover group",
            self,
            above_zero=("check_interval", "check_timeout"),
            from_zero=("return_after", "retry_after", "max_staleness"),
            from_one=("failure_threshold",),
        )


class Member(Struct, Generic[S], frozen=True):
    """One service of a group. ``check`` returns False or raises when it is not healthy; it may be a coroutine function."""

    name: str
    service: S
    check: Check | None = None


class FailoverSnapshot(Struct, frozen=True):
    """A group at one moment. ``since`` is a Unix time; ``failures`` are those in a row, by member."""

    name: str
    members: tuple[str, ...]
    current: str
    epoch: int
    since: float | None
    failures: Mapping[str, int]
    healthy: Mapping[str, bool]
    shared: bool


class FailoverGroup(Generic[S]):
    """Members in order of preference, one of which is current. Thread-safe.

    Args:
        redis: a client or a URL.
        name: the group.
        members: the services, the preferred one first.
        config: when to switch.
        clock: monotonic seconds.
        now: Unix seconds, while Redis is away.
        prefix: begins each key in Redis.

    Raises:
        SettingsError: There are no members, or two have one name.
    """

    def __init__(
        self,
        redis: Redis | str,
        name: str,
        members: Sequence[Member[S]],
        config: FailoverConfig | None = None,
        *,
        clock: Clock = time.monotonic,
        now: Clock = time.time,
        prefix: str = DEFAULT_PREFIX,
    ) -> None:
        check_name("failover group", name)
        if not members or len({member.name for member in members}) < len(members):
            raise SettingsError(f"failover group {name!r}: members must be one or more, with names that differ")
        for member in members:
            check_name(f"member of failover group {name!r}:", member.name)
        self.name, self.config = name, config or FailoverConfig()
        self._members = {member.name: member for member in members}
        self._order = [member.name for member in members]
        self._clock, self._now = clock, now
        self._local = LocalGroup(self._order[0], lambda: int(now() * 1000))
        what = f"failover group {name!r}"
        self._link = RedisLink(redis, what=what, clock=clock, on_lost=lambda error: self._local.adopt(self._known))
        self._shared = SharedGroup(self._link, name, self._order[0], prefix)
        self._key = failover_key(name, prefix)
        checked = {member.name: member.check for member in members if member.check is not None}
        self._probes = {name: Probe(check, self.config.check_timeout) for name, check in checked.items()}
        self._tried_at: dict[str, float] = {}
        self._known, self._known_at = GroupState(self._order[0]), float("-inf")
        self._listeners: Listeners[FailoverRecord] = Listeners()
        self._watcher = Watcher(f"perdure-failover-{name}", self._run)

    @property
    def members(self) -> list[Member[S]]:
        """The members, the preferred one first."""
        return list(self._members.values())

    @property
    def has_checks(self) -> bool:
        """Whether any member has a health check."""
        return bool(self._probes)

    @property
    def current(self) -> Member[S]:
        """The current member, as known at most ``max_staleness`` seconds ago."""
        if self._clock() - self._known_at >= self.config.max_staleness:
            self._report("", ok=True)
        return self._members.get(self._known.current, self._members[self._order[0]])

    @property
    def epoch(self) -> int:
        """The number of switches so far; pass it on to fence off what an earlier current member does."""
        return self._known.epoch

    def call(self, fn: Callable[[S], R]) -> R:
        """Call ``fn`` with the current member's service, and with others' when that fails.

        ``fn`` is called again when the failure makes the group switch, while all members have failed, or at once with
        ``answer_from_backup`` (so it must be idempotent), at most once per member.

        Raises:
            Exception: what ``fn`` raised last, when no member answered; its notes name the others' errors.
        """
        member: Member[S] | None = self.current
        failed: dict[str, Exception] = {}
        while member is not None:
            try:
                result = fn(member.service)
            except self.config.expected as error:
                failed[member.name] = error
                member = self._next(member, failed)
                continue
            self._succeeded(member)
            return result
        raise _last(failed)

    async def call_async(self, fn: Callable[[S], Awaitable[R]]) -> R:
        """Await ``fn`` with the current member's service, and with others' as :meth:`call` does.

        Redis is asked from a thread.

        Raises:
            Exception: what ``fn`` raised last, when no member answered; its notes name the others' errors.
        """
        member: Member[S] | None = await asyncio.to_thread(lambda: self.current)
        failed: dict[str, Exception] = {}
        while member is not None:
            try:
                result = await fn(member.service)
            except self.config.expected as error:
                failed[member.name] = error
                member = await asyncio.to_thread(self._next, member, failed)
                continue
            await asyncio.to_thread(self._succeeded, member)
            return result
        raise _last(failed)

    def check(self) -> dict[str, bool]:
        """Run the health checks side by side and switch if they say so; returns what they said."""
        findings = dict(zip(self._probes, ask_all(self._probes.values()), strict=True))
        for name, finding in findings.items():
            if finding.error:
                log.info("failover group %r: %s is not healthy: %s", self.name, name, finding.error)
            self._report(name, ok=not finding.error)
        if not findings:
            self._report("", ok=True)
        return {name: not finding.error for name, finding in findings.items()}

    def promote(self, member: str, *, reason: str, by: str | None = None) -> None:
        """Make a member the current one by hand. A healthy preferred one takes over again after ``return_after``.

        Raises:
            KeyError: no member has that name.
        """
        if member not in self._members:
            raise KeyError(f"failover group {self.name!r} has no member {member!r}: {', '.join(self._order)}")
        while not self._switch(self._read(), member, reason, by or whoami()):
            continue

    def snapshot(self) -> FailoverSnapshot:
        """Return the group as it is."""
        state = self._read()
        return FailoverSnapshot(
            name=self.name,
            members=tuple(self._order),
            current=state.current,
            epoch=state.epoch,
            since=state.since_ms / 1000 if state.since_ms else None,
            failures={name: state.failures.get(name, 0) for name in self._order},
            healthy={name: state.failures.get(name, 0) < self.config.failure_threshold for name in self._order},
            shared=self._link.up,
        )

    def records(self) -> list[FailoverRecord]:
        """Return the last hundred switches, newest first."""
        try:
            return self._shared.records()
        except SharedStateUnavailable:
            return self._local.records()

    def listen(self, listener: Callable[[FailoverRecord], None]) -> Callable[[], None]:
        """Call ``listener`` with each switch that this process makes; returns a function that unsubscribes."""
        return self._listeners.add(listener)

    def tell(self, record: FailoverRecord) -> None:
        """Tell the listeners of a switch that another object of this group made, such as one that watches it."""
        self._listeners.emit(record)

    def start(self) -> None:
        """Check health every ``check_interval`` seconds from a daemon thread."""
        self._watcher.start()

    def stop(self, timeout: float = 1.0) -> None:
        """Stop the thread. A check that is under way is waited for ``timeout`` seconds, and then left to end by itself."""
        self._watcher.stop(timeout)

    def _next(self, member: Member[S], failed: Mapping[str, Exception]) -> Member[S] | None:
        """Report that a call failed with a member; returns the one to go on with, None when the caller gets the error."""
        error = failed[member.name]
        if isinstance(error, self.config.ignore):
            return None
        if not isinstance(error, NotCalled):  # which says nothing about the member
            self._report(member.name, ok=False)
        elif not self.config.answer_from_backup:
            return None
        if self._known.current not in failed:
            return self.current
        others = [name for name in self._order if name not in failed]
        if self.config.answer_from_backup and (well := [name for name in others if not self._has_failed(name)]):
            return self._members[well[0]]
        if self.config.answer_from_backup or self._has_failed(self._known.current):
            return next((self._members[name] for name in others if self._may_try(name)), None)
        return None

    def _has_failed(self, name: str) -> bool:
        return self._known.failures.get(name, 0) >= self.config.failure_threshold

    def _succeeded(self, member: Member[S]) -> None:
        if self._known.failures.get(member.name, 0):
            self._report(member.name, ok=True)

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(self.config.check_interval):
            try:
                if self._is_my_turn():
                    self.check()
            except Exception:
                log.exception("failover group %r: its checks failed and go on", self.name)

    def _is_my_turn(self) -> bool:
        """Of all processes one checks per interval; while Redis is away each does."""
        return self._is_first("turn", self.config.check_interval * 0.9, alone=True)

    def _may_try(self, name: str) -> bool:
        """Of all calls in all processes one tries a failed member per ``retry_after``; while Redis is away one of each."""
        if not self.config.retry_after:
            return True
        now = self._clock()
        alone = now - self._tried_at.get(name, float("-inf")) >= self.config.retry_after
        first = self._is_first(f"trial:{name}", self.config.retry_after, alone=alone)
        if first:
            self._tried_at[name] = now
        return first

    def _is_first(self, what: str, seconds: float, *, alone: bool) -> bool:
        """Return whether no process was first at something in the last ``seconds``; ``alone``: while Redis is away."""
        key, ttl_ms, client = f"{self._key}:{what}", max(1, int(seconds * 1000)), self._link.client
        try:
            mine = bool(self._link.run(lambda: client.set(key, whereami(), nx=True, px=ttl_ms)))
            if not mine and self._link.run(lambda: client.pttl(key)) == NO_EXPIRY:
                self._link.run(lambda: client.delete(key))  # not ours: the next time would never come
        except SharedStateUnavailable:
            return alone
        return mine

    def _read(self) -> GroupState:
        return self._report("", ok=True)

    def _report(self, member: str, *, ok: bool) -> GroupState:
        checked = bool(member) and self._members[member].check is not None
        try:
            now_ms, state = self._shared.report(member, ok=ok, checked=checked)
        except SharedStateUnavailable:
            now_ms, state = self._local.report(member, ok=ok, checked=checked)
        self._known, self._known_at = state, self._clock()
        choice = decide(
            self._order,
            state,
            now_ms,
            failure_threshold=self.config.failure_threshold,
            return_after_ms=int(self.config.return_after * 1000),
        )
        if choice is not None:
            self._switch(state, *choice, whereami())
        return self._known

    def _switch(self, state: GroupState, to: str, reason: str, by: str) -> bool:
        record = FailoverRecord(self.name, state.current, to, state.epoch + 1, reason, self._now(), by)
        store: GroupStore = self._shared if self._link.up else self._local
        try:
            switched = store.switch(state.epoch, record)
            _, self._known = store.report("", ok=True, checked=False)
        except SharedStateUnavailable:
            switched = self._local.switch(state.epoch, record)
            _, self._known = self._local.report("", ok=True, checked=False)
        self._known_at = self._clock()
        if switched:
            log.warning("failover group %r: %s -> %s (%s)", self.name, record.from_member, to, reason)
            self._listeners.emit(record)
        return switched


def _last(failed: Mapping[str, Exception]) -> Exception:
    """Return the last member's error, with notes of those before."""
    *others, (_, last) = failed.items()
    for name, error in others:
        last.add_note(f"member {name} had failed before: {type(error).__name__}: {error}")
    return last


def whereami() -> str:
    """Return this process's name for records: host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"
