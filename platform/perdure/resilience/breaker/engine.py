"""What happens before and after each call: asks the shared state, batches successes, falls back when Redis is away."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct
from redis import Redis

from perdure.resilience.breaker.config import BreakerConfig
from perdure.resilience.breaker.events import BreakerEvent, CircuitOpen
from perdure.resilience.breaker.machine import Decision, MachineState
from perdure.resilience.breaker.store import BreakerStore, LocalStore, SharedStore
from perdure.resilience.breaker.trial_holder import new_token, quoted
from perdure.resilience.listeners import Listeners
from perdure.resilience.redis.keys import DEFAULT_PREFIX, breaker_key
from perdure.resilience.redis.link import Clock, RedisLink, SharedStateUnavailable
from perdure.system.fork_locks import fork_lock

T = TypeVar("T")

BATCH_LENGTH = 100
"""Successes held back at most."""

BATCH_AGE_S = 1.0
"""Successes that were held back longer than this go out with the next call, whatever it does."""


class Entry(Struct, frozen=True):
    """A call that was let through."""

    generation: int
    token: str
    streak: int
    began: float
    local: bool


class _Known(Struct, frozen=True):
    """What this process read last, when (monotonic), and which change of that name it had seen last then."""

    decision: Decision
    at: float
    change: object


class _Seen(Struct, frozen=True):
    """What this process saw of the state last, when (monotonic), and which change it had seen last then."""

    now_ms: int
    state: MachineState
    at: float
    change: object


_last_change: dict[str, object] = {}
"""By key: something new for each change that any breaker of this process saw. Without a lock, because of forks."""


class BreakerEngine:
    """The steps around a call. Thread-safe.

    Successes are held back while they could not change the state soon (breaker closed, no failure in a row): a failure,
    a hundred of them, or the first call more than a second later takes them along. What a process holds back is missing
    from the shared rates meanwhile.

    The answer to a question holds for ``max_staleness``: yes while the breaker is closed and nothing fails, no until a
    trial call is due. After a failure each call asks; so does a process after another breaker of the same name in it saw
    a change, or was told one.
    """

    def __init__(
        self,
        redis: Redis | str,
        name: str,
        config: BreakerConfig,
        listeners: Listeners[BreakerEvent],
        *,
        clock: Clock = time.monotonic,
        now: Clock = time.time,
        prefix: str = DEFAULT_PREFIX,
    ) -> None:
        self.name, self.config = name, config
        self._key = breaker_key(name, prefix)
        self._listeners, self._clock, self._now = listeners, clock, now
        what = f"circuit breaker {name!r}"
        self.link = RedisLink(
            redis,
            what=what,
            clock=clock,
            on_lost=self._on_lost,
            on_restored=self._on_restored,
            on_mended=lambda key, was: self._shared.note_mended(key, was),
        )
        self._shared = SharedStore(self.link, name, config.numbers, prefix)
        self._local = LocalStore(config.numbers, lambda: int(now() * 1000))
        self._lock = fork_lock()
        self._known: _Known | None = None
        self._seen: _Seen | None = None
        self._pending, self._pending_generation, self._pending_since = "", 0, 0.0
        self._rejected = 0

    def enter(self) -> Entry:
        """Ask to make a call.

        Raises:
            CircuitOpen: not now.
        """
        known = self._fresh()
        if known is None:
            return self._admit(*self._ask())
        if known.decision.state == "closed":
            return Entry(known.decision.generation, "", known.decision.streak, self._clock(), local=False)
        with self._lock:
            self._rejected += 1
        raise self._rejection(known.decision.retry_after_ms / 1000 - (self._clock() - known.at))

    def succeed(self, entry: Entry) -> None:
        """Report that the call of ``entry`` succeeded."""
        duration, slow = self._measure(entry)
        if self._listeners:
            self._listeners.emit(BreakerEvent("success", self.name, duration=duration, slow=slow))
        if entry.token or entry.streak or slow or entry.local:
            self._report(entry, "S" if slow else "s")
        else:
            self._hold_back(entry)

    def fail(self, entry: Entry, error: BaseException) -> None:
        """Report that the call of ``entry`` failed."""
        duration, slow = self._measure(entry)
        self._listeners.emit(BreakerEvent("failure", self.name, error=error, duration=duration, slow=slow))
        self._report(entry, "F" if slow else "f")

    def ignore(self, entry: Entry, error: BaseException) -> None:
        """Note that the call of ``entry`` ended without a verdict on the service; the next trial call may go at once."""
        if entry.token:
            self._free(entry.token, local=entry.local)
        self._listeners.emit(BreakerEvent("ignored", self.name, error=error, duration=self._measure(entry)[0]))

    def command(self, name: str, lasts: float | None, by: str, reason: str) -> Decision:
        """Apply an override for so many seconds; while Redis is away it holds in this process until Redis is back."""
        lasts_ms = 0 if lasts is None else max(1, int(lasts * 1000))
        decision, _ = self._either(lambda store: store.command(name, lasts_ms, by, reason))
        _last_change[self._key] = object()
        self._learn(decision)
        return decision

    def read(self) -> tuple[int, MachineState, bool]:
        """Return the time in milliseconds, the state, and whether it is the shared one."""
        (now_ms, state), local = self._either(lambda store: store.read())
        self._known = None  # the next call may depend on what was seen here
        self._seen = _Seen(now_ms, state, self._clock(), _last_change.get(self._key))
        return now_ms, state, not local

    def look(self) -> tuple[int, MachineState]:
        """Return the time in milliseconds and the state as they were read at most ``max_staleness`` ago."""
        seen = self._seen
        if seen is not None and seen.change is _last_change.get(self._key):
            age = self._clock() - seen.at
            if age < self.config.max_staleness:
                return seen.now_ms + int(age * 1000), seen.state
        now_ms, state, _ = self.read()
        return now_ms, state

    def free(self, holder: str) -> None:
        """Give back the trial permits of a holder that is known to be dead."""
        self._free(quoted(holder), local=False)

    def store(self) -> BreakerStore:
        """Return the store that counts now."""
        return self._shared if self.link.up else self._local

    def flush(self) -> None:
        """Send the successes that are held back."""
        outcomes, generation = self._take_pending()
        if outcomes:
            decision, _ = self._either(lambda store: store.record("", generation, outcomes))
            self._learn(decision)

    def _fresh(self) -> _Known | None:
        known = self._known
        if known is None or self.config.max_staleness <= 0:
            return None
        age = self._clock() - known.at
        if age >= self.config.max_staleness or not self.link.up or known.change is not _last_change.get(self._key):
            return None
        if known.decision.state == "closed":
            return None if known.decision.streak else known
        probe_due = age * 1000 >= known.decision.retry_after_ms
        return None if probe_due else known

    def _free(self, who: str, *, local: bool) -> None:
        if local:
            self._learn(self._local.free(who))
        else:
            decision, _ = self._either(lambda store: store.free(who))
            self._learn(decision)

    def _ask(self) -> tuple[Decision, bool]:
        outcomes, generation = self._take_pending() if self._is_due() else ("", 0)
        with self._lock:
            rejected, self._rejected = self._rejected, 0
        token = new_token()
        was_up = self.link.up
        decision, local = self._either(lambda store: store.enter(token, generation, outcomes, rejected))
        if not was_up and not local and not decision.token:
            # Redis is back, and what this process learned alone was passed on after the question: ask again.
            decision, local = self._either(lambda store: store.enter(token, generation, "", 0))
        self._learn(decision)
        return decision, local

    def _admit(self, decision: Decision, local: bool) -> Entry:
        if decision.admitted:
            return Entry(decision.generation, decision.token, decision.streak, self._clock(), local)
        raise self._rejection(decision.retry_after_ms / 1000)

    def _rejection(self, retry_after: float) -> CircuitOpen:
        error = CircuitOpen(self.name, max(0.0, retry_after))
        self._listeners.emit(BreakerEvent("rejected", self.name, error=error))
        return error

    def _report(self, entry: Entry, outcome: str) -> None:
        # A trial call reports alone: its permit covers one outcome.
        held, generation = ("", 0) if entry.token else self._take_pending()
        outcomes = held + outcome if generation == entry.generation else outcome
        if entry.local:
            decision = self._local.record(entry.token, entry.generation, outcomes)
        else:
            decision, _ = self._either(lambda store: store.record(entry.token, entry.generation, outcomes))
        self._learn(decision)

    def _hold_back(self, entry: Entry) -> None:
        with self._lock:
            if self._pending_generation != entry.generation:
                self._pending, self._pending_generation = "", entry.generation
            if not self._pending:
                self._pending_since = self._clock()
            self._pending += "s"
        if self._is_due():
            self.flush()

    def _is_due(self) -> bool:
        pending = self._pending
        return bool(pending) and (len(pending) >= BATCH_LENGTH or self._clock() - self._pending_since >= BATCH_AGE_S)

    def _take_pending(self) -> tuple[str, int]:
        with self._lock:
            outcomes, self._pending = self._pending, ""
            return outcomes, self._pending_generation

    def _measure(self, entry: Entry) -> tuple[float, bool]:
        duration = self._clock() - entry.began
        limit = self.config.slow_call_duration
        return duration, limit is not None and duration >= limit

    def _either(self, step: Callable[[BreakerStore], T]) -> tuple[T, bool]:
        """Run a step on the shared state, or on the local one while Redis is away; True: it was the local one."""
        try:
            return step(self._shared), False
        except SharedStateUnavailable:
            return step(self._local), True

    def _learn(self, decision: Decision) -> None:
        if decision.change:
            _last_change[self._key] = object()
        if decision.state != "closed":
            self._seen = None  # the permits of trial calls may be others now
        self._known = _Known(decision, self._clock(), _last_change.get(self._key))
        if decision.change:
            self._listeners.emit(BreakerEvent("state", self.name, change=decision.change))

    def _on_lost(self, error: BaseException) -> None:
        """Go on locally from what was known last: an open breaker stays open, with its probes per process."""
        state = MachineState()
        if self._known:
            last = self._known.decision
            state.generation, state.streak, state.recovery_ms = last.generation, last.streak, last.recovery_ms
            if last.state != "closed":
                state.state, state.openings, state.reason = "open", 1, "was open when Redis failed"
                state.until_ms = -1 if last.until_ms < 0 else int(self._now() * 1000) + last.retry_after_ms
        self._local.adopt(state)
        self._listeners.emit(BreakerEvent("degraded", self.name, error=error))

    def _on_restored(self) -> None:
        """Back to the shared state. If this process saw the service fail meanwhile, the others learn it."""
        now_ms, state = self._local.read()
        left = state.until_ms - now_ms
        if state.state == "open" and left > 0 and state.override == "":
            reason = f"opened in one process while Redis was away: {state.reason}"
            self._either(lambda store: store.command("carry", left, "", reason))
        self._listeners.emit(BreakerEvent("restored", self.name))
