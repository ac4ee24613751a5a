"""Where a breaker's state lives: shared in Redis or, while Redis is away, in this process. Same machine."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from perdure.resilience.breaker.config import MachineConfig
from perdure.resilience.breaker.machine import Change, Decision, MachineState, command, enter, free, record
from perdure.resilience.breaker.sense import LARGEST, state_from
from perdure.resilience.redis.keys import DEFAULT_PREFIX, breaker_key
from perdure.resilience.redis.link import RedisLink
from perdure.resilience.redis.lua_scripts import text
from perdure.system.fork_locks import fork_lock

HISTORY_LENGTH = 50
"""Changes of state that are kept; ``breaker_store.lua`` has the same number."""


class BreakerStore(Protocol):
    """One breaker's state and the steps of its machine, each atomic."""

    def enter(self, token: str, generation: int, outcomes: str, rejected: int) -> Decision:
        """Report pending outcomes and calls that were rejected without asking, then ask whether a call may go."""

    def record(self, token: str, generation: int, outcomes: str) -> Decision:
        """Report outcomes."""

    def command(self, name: str, lasts_ms: int, by: str, reason: str) -> Decision:
        """Apply a manual override or a reset."""

    def free(self, who: str) -> Decision:
        """Give back the trial permit with this token, or those of this holder."""

    def read(self) -> tuple[int, MachineState]:
        """Return the time in milliseconds and the state."""

    def history(self) -> list[Change]:
        """Return the changes of state, newest first."""


class SharedStore:
    """State in Redis: each step is one Lua script on Redis' time, so one step at a time across all processes.

    Raises :class:`~perdure.resilience.redis.link.SharedStateUnavailable` while Redis is away.
    """

    def __init__(self, link: RedisLink, name: str, config: MachineConfig, prefix: str = DEFAULT_PREFIX) -> None:
        self._link, self._numbers = link, config
        self._config = config.to_json()
        key = breaker_key(name, prefix)
        self._keys = [key, f"{key}:history"]
        self._kinds = {key: "hash", f"{key}:history": "list"}

    def enter(self, token: str, generation: int, outcomes: str, rejected: int) -> Decision:
        """See :meth:`BreakerStore.enter`."""
        return self._run("breaker_enter", token, generation, outcomes, rejected)

    def record(self, token: str, generation: int, outcomes: str) -> Decision:
        """See :meth:`BreakerStore.record`."""
        return self._run("breaker_record", token, generation, outcomes)

    def command(self, name: str, lasts_ms: int, by: str, reason: str) -> Decision:
        """See :meth:`BreakerStore.command`."""
        return self._run("breaker_command", name, lasts_ms, by, reason)

    def free(self, who: str) -> Decision:
        """See :meth:`BreakerStore.free`."""
        return self._run("breaker_free", who)

    def read(self) -> tuple[int, MachineState]:
        """See :meth:`BreakerStore.read`."""
        now, flat = self._link.run(lambda: self._link.scripts.run("breaker_read", self._keys[:1]), self._kinds)
        state, odd = state_from(flat, self._numbers, int(now))
        self._say(", ".join(odd))
        return int(now), state

    def history(self) -> list[Change]:
        """See :meth:`BreakerStore.history`."""
        rows: Any = self._link.run(lambda: self._link.client.lrange(self._keys[1], 0, -1), self._kinds)
        return [change for row in rows if (change := _change_from(text(row))) is not None]

    def note_mended(self, key: str, was: str) -> None:
        """Let the breaker's snapshot say that one of its keys held another type."""
        kept, note = self._keys[0], f"{key} was a {was}"
        with self._link.client.pipeline() as pipe:
            pipe.hset(kept, "repaired", note)
            pipe.pexpire(kept, self._numbers.ttl_ms)
            pipe.execute()

    def _run(self, script: str, *args: str | int) -> Decision:
        reply = self._link.run(lambda: self._link.scripts.run(script, self._keys, [self._config, *args]), self._kinds)
        if len(reply) == 2:
            return _closed(*reply)
        admitted, state, generation, token, wait, streak, now, until, recovery, odd, *change = reply
        self._say(text(odd))
        return Decision(
            admitted=bool(admitted),
            state=text(state),
            generation=generation,
            token=text(token),
            retry_after_ms=wait,
            streak=streak,
            now_ms=now,
            until_ms=until,
            recovery_ms=recovery,
            change=Change(text(change[0]), text(change[1]), now, text(change[2]), text(change[3])) if change else None,
        )

    def _say(self, odd: str) -> None:
        if odd:
            self._link.say_once(f"values in Redis made no sense and are replaced ({odd})")


class LocalStore:
    """State in this process, guarded by a lock. ``now_ms`` gives Unix milliseconds."""

    def __init__(self, config: MachineConfig, now_ms: Callable[[], int]) -> None:
        self._config, self._now_ms = config, now_ms
        self._lock = fork_lock()
        self._state = MachineState()
        self._history: deque[Change] = deque(maxlen=HISTORY_LENGTH)

    def adopt(self, state: MachineState) -> None:
        """Go on from this state."""
        with self._lock:
            self._state = state

    def enter(self, token: str, generation: int, outcomes: str, rejected: int) -> Decision:
        """See :meth:`BreakerStore.enter`."""

        def step(now: int) -> tuple[MachineState, Decision]:
            known = replace(self._state, rejected=self._state.rejected + rejected)
            return enter(self._config, known, now, token, generation=generation, outcomes=outcomes)

        return self._step(step)

    def record(self, token: str, generation: int, outcomes: str) -> Decision:
        """See :meth:`BreakerStore.record`."""
        return self._step(
            lambda now: record(self._config, self._state, now, generation=generation, token=token, outcomes=outcomes)
        )

    def command(self, name: str, lasts_ms: int, by: str, reason: str) -> Decision:
        """See :meth:`BreakerStore.command`."""
        return self._step(lambda now: command(self._config, self._state, now, name, lasts_ms, by, reason))

    def free(self, who: str) -> Decision:
        """See :meth:`BreakerStore.free`."""
        return self._step(lambda now: free(self._config, self._state, now, who))

    def read(self) -> tuple[int, MachineState]:
        """See :meth:`BreakerStore.read`."""
        with self._lock:
            return self._now_ms(), self._state

    def history(self) -> list[Change]:
        """See :meth:`BreakerStore.history`."""
        with self._lock:
            return list(self._history)

    def _step(self, step: Callable[[int], tuple[MachineState, Decision]]) -> Decision:
        with self._lock:
            self._state, decision = step(self._now_ms())
            if decision.change:
                self._history.appendleft(decision.change)
            return decision


def _closed(generation: int, streak: int) -> Decision:
    return Decision(
        admitted=True,
        state="closed",
        generation=generation,
        token="",
        retry_after_ms=0,
        streak=streak,
        now_ms=0,
        until_ms=0,
        recovery_ms=0,
    )


def _change_from(row: str) -> Change | None:
    """Return a change of the history, or None for a row that is none."""
    try:
        found = msgspec.json.decode(row, type=Change)
    except msgspec.MsgspecError:
        return None
    return found if abs(found.at_ms) <= LARGEST else None
