"""Where a failover group's state lives: shared in Redis, or in this process while Redis is away."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from msgspec.structs import asdict

from perdure.resilience.failover.decision import GroupState
from perdure.resilience.redis.keys import DEFAULT_PREFIX, failover_key
from perdure.resilience.redis.link import RedisLink
from perdure.resilience.redis.lua_scripts import text
from perdure.system.fork_locks import fork_lock

RECORDS_KEPT = 100
FORGET_AFTER_MS = 30 * 86_400 * 1000
"""An unused group starts again with its preferred member after thirty days."""


class FailoverRecord(msgspec.Struct, frozen=True):
    """One switch. ``at`` is a Unix time, ``by`` the process or person that made it."""

    group: str
    from_member: str
    to_member: str
    epoch: int
    reason: str
    at: float
    by: str


class GroupStore(Protocol):
    """A group's state."""

    def report(self, member: str, *, ok: bool, checked: bool) -> tuple[int, GroupState]:
        """Note how a member did ('' notes nothing); returns the time in ms and the state."""

    def switch(self, epoch: int, record: FailoverRecord) -> bool:
        """Switch if the state is still of ``epoch``; returns whether it was."""

    def records(self) -> list[FailoverRecord]:
        """Return the switches, newest first."""


class SharedGroup:
    """State in Redis; switches are compare-and-set on the epoch, so of many processes that notice one acts."""

    def __init__(self, link: RedisLink, name: str, preferred: str, prefix: str = DEFAULT_PREFIX) -> None:
        self._link, self._preferred = link, preferred
        key = failover_key(name, prefix)
        self._keys = [key, f"{key}:records"]
        self._kinds = {key: "hash", f"{key}:records": "list"}

    def report(self, member: str, *, ok: bool, checked: bool) -> tuple[int, GroupState]:
        """See :meth:`GroupStore.report`."""
        args: list[str | int] = [member, int(ok), FORGET_AFTER_MS, int(checked)]
        now, flat, odd = self._link.run(
            lambda: self._link.scripts.run("failover_report", self._keys[:1], args), self._kinds
        )
        if odd:
            names = ", ".join(sorted(map(text, odd)))
            self._link.say_once(f"values in Redis made no sense and are replaced ({names})")
        fields = dict(zip(map(text, flat[::2]), map(text, flat[1::2]), strict=True))
        return int(now), GroupState(
            current=fields.get("current", self._preferred),
            epoch=int(fields.get("epoch", 0)),
            since_ms=int(fields.get("since_ms", 0)),
            failures=_by_member(fields, "failures:"),
            healthy_since=_by_member(fields, "healthy_since:"),
        )

    def switch(self, epoch: int, record: FailoverRecord) -> bool:
        """See :meth:`GroupStore.switch`."""
        args: list[str | int] = [epoch, record.to_member, json.dumps(asdict(record)), RECORDS_KEPT, FORGET_AFTER_MS]
        return bool(self._link.run(lambda: self._link.scripts.run("failover_switch", self._keys, args), self._kinds))

    def records(self) -> list[FailoverRecord]:
        """See :meth:`GroupStore.records`."""
        rows: Any = self._link.run(lambda: self._link.client.lrange(self._keys[1], 0, -1), self._kinds)
        return [record for row in rows if (record := _record_from(text(row))) is not None]


class LocalGroup:
    """State in this process, guarded by a lock. ``now_ms`` gives Unix milliseconds."""

    def __init__(self, preferred: str, now_ms: Callable[[], int]) -> None:
        self._now_ms, self._lock = now_ms, fork_lock()
        self._state = GroupState(preferred)
        self._records: deque[FailoverRecord] = deque(maxlen=RECORDS_KEPT)

    def adopt(self, state: GroupState) -> None:
        """Go on from this state."""
        with self._lock:
            self._state = state

    def report(self, member: str, *, ok: bool, checked: bool) -> tuple[int, GroupState]:
        """See :meth:`GroupStore.report`."""
        with self._lock:
            now, state = self._now_ms(), self._state
            if member:
                failures, healthy = dict(state.failures), dict(state.healthy_since)
                if ok:
                    failures[member] = 0
                    healthy.setdefault(member, now)
                else:
                    failures[member] = failures.get(member, 0) + 1
                    healthy.pop(member, None)
                    if not checked:
                        healthy[member] = now
                self._state = GroupState(state.current, state.epoch, state.since_ms, failures, healthy)
            return now, self._state

    def switch(self, epoch: int, record: FailoverRecord) -> bool:
        """See :meth:`GroupStore.switch`."""
        with self._lock:
            state = self._state
            if state.epoch != epoch:
                return False
            failures = {**state.failures, record.to_member: 0}
            self._state = GroupState(record.to_member, epoch + 1, self._now_ms(), failures, state.healthy_since)
            self._records.appendleft(record)
            return True

    def records(self) -> list[FailoverRecord]:
        """See :meth:`GroupStore.records`."""
        with self._lock:
            return list(self._records)


def _record_from(row: str) -> FailoverRecord | None:
    """Return a record, or None for a row that is none."""
    try:
        return msgspec.json.decode(row, type=FailoverRecord)
    except msgspec.MsgspecError:
        return None


def _by_member(fields: dict[str, str], prefix: str) -> dict[str, int]:
    return {field.removeprefix(prefix): int(value) for field, value in fields.items() if field.startswith(prefix)}
