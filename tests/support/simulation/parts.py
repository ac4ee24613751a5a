"""The parts around the ledger, in one process: bells, permits, breakers and checkpoint stores, and what wires them.

What decides is the platform's: :class:`Limits`, the breaker's machine and its admission, the quorum of a replicated store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

from perdure.admission import limits
from perdure.errors import BulkheadFull
from perdure.ledger import Ledger
from perdure.model.retry_policy import RetryPolicy
from perdure.model.signature import Signature
from perdure.model.storage_errors import StoreUnavailable
from perdure.model.task_spec import TaskSpec
from perdure.resilience.breaker.admission import Admission, admission
from perdure.resilience.breaker.config import BreakerConfig
from perdure.resilience.breaker.store import LocalStore
from perdure.resilience.breaker.trial_holder import quoted
from perdure.settings.settings import Settings
from perdure.stores.protocol import StoredVersion
from perdure.stores.record import CheckpointKey, CheckpointRecord
from perdure.stores.replicated import quorum
from support.simulation.ledger import SimulatedClock

BULKHEAD, URGENT = "normal", "critical"
BREAKER = BreakerConfig(failure_threshold=1, recovery_timeout=2.0, slow_start=0)
#: Jobs of each kind: a job of ``poison`` kills its process; ``kept`` keeps its checkpoints in replicated stores; ``exact``
#: writes to the ledger's database with each checkpoint; ``urgent`` ones have a worker of their own.
_RETRY = RetryPolicy(max_retries=1, base=1.0, max_delay=1.0)
_OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "poison": {},
    "kept": {},
    "limited": {"limit": 1},
    "guarded": {"breaker": "service"},
    "exact": {},
    "urgent": {"bulkhead": URGENT},
}
KINDS = tuple(_OPTIONS)
SETTINGS = Settings(broker_url="redis://simulated")


def _function(number: int, of: dict[str, Any]) -> None: ...


TASKS = {
    kind: TaskSpec(**{"bulkhead": BULKHEAD} | options, name=kind, retry=_RETRY, signature=Signature(_function, kind))
    for kind, options in _OPTIONS.items()
}


class Bells:
    """The broker: how many bells of each bulkhead are on their way."""

    def __init__(self) -> None:
        self.counts = Counter[str]()

    @property
    def count(self) -> int:
        """How many there are."""
        return self.counts.total()

    def ring(self, bulkhead: str, count: int = 1) -> None:
        self.counts[bulkhead] += count


class SimulatedPermits:
    """Permits of one limit, each with the end of its lease."""

    def __init__(self, limit: int, lease: float, clock: SimulatedClock) -> None:
        self._limit, self._lease, self._clock = limit, lease, clock
        self.held: dict[str, float] = {}

    def acquire(self, key: str, token: str) -> AbstractContextManager[None]:
        if sum(end > self._clock.now for end in self.held.values()) >= self._limit:
            raise BulkheadFull("all permits are held")
        self.held[token] = self._clock.now + self._lease
        return _Permit(self, key, token)

    def free(self, _key: str, token: str) -> None:
        self.held.pop(token, None)


@dataclass
class _Permit(AbstractContextManager[None]):
    """What is given back at its end; unlike a generator it can be copied with its world."""

    of: SimulatedPermits
    key: str
    token: str

    def __exit__(self, *_: object) -> None:
        self.of.free(self.key, self.token)


class SimulatedLimits(limits.Limits):
    """The platform's limits, with permits in this process."""

    def __init__(self, tasks: Mapping[str, TaskSpec], ledger: Ledger, clock: SimulatedClock) -> None:
        super().__init__(SETTINGS, tasks, ledger)
        self._clock = clock
        self.permits: dict[str, SimulatedPermits] = {}

    def _named(self, name: str, limit: int) -> Any:
        lease = limits.LEASES * SETTINGS.lease_ttl
        return self.permits.setdefault(name, SimulatedPermits(limit, lease, self._clock))


class SimulatedBreaker:
    """The one breaker: the platform's machine on the simulated clock."""

    def __init__(self, clock: SimulatedClock) -> None:
        self.store = LocalStore(BREAKER.numbers, lambda: int(clock.now * 1000))
        self._clock = clock
        #: Of the calls under way, by holder: generation, token, and when it began.
        self.calls: dict[str, tuple[int, str, float]] = {}

    def admits(self, count: int) -> Admission:
        now_ms, state = self.store.read()
        return admission(BREAKER, state, now_ms, count)

    def enter(self, holder: str) -> bool:
        decision = self.store.enter(f"trial@{quoted(holder)}", 0, "", 0)
        if decision.admitted:
            self.calls[holder] = decision.generation, decision.token, self._clock.now
        return decision.admitted

    def trials(self) -> int:
        """Return how many trial calls are under way whose leases have not ended."""
        if not self.calls:
            return 0
        _, state = self.store.read()
        since = self._clock.now - BREAKER.recovery_timeout
        return sum(1 for of, token, began in self.calls.values() if token and of == state.generation and began > since)

    def leave(self, holder: str, outcome: str) -> None:
        generation, token, _ = self.calls.pop(holder)
        self.store.record(token, generation, outcome)

    def free(self, holder: str) -> None:
        if self.calls.pop(holder, None):
            self.store.free(quoted(holder))


_QUORUM = quorum.Quorum.majority(3)


class Ring:
    """Three stores of checkpoints, of which each may be away."""

    def __init__(self) -> None:
        self.stores: dict[str, dict[CheckpointKey, StoredVersion]] = {name: {} for name in "abc"}
        self.away: set[str] = set()
        self.quorum = _QUORUM

    def save(self, record: CheckpointRecord) -> None:
        """Write to all that answer; raises ``StoreUnavailable`` when they are too few."""
        for name in self._there():
            before = self.stores[name].get(record.key)
            if before is None or before.version < record.version:
                self.stores[name][record.key] = StoredVersion(record.version, record)
        if len(self._there()) < self.quorum.write:
            raise StoreUnavailable("too few stores took the checkpoint")

    def newest(self, key: CheckpointKey) -> int:
        """Return the sequence number of the newest checkpoint, 0 for none; raises ``StoreUnavailable``."""
        answers = {name: tuple(v for k, v in self.stores[name].items() if k == key) for name in self._there()}
        reading = quorum.judge(key, answers, dict.fromkeys(self.away, "away"))
        if not reading.decided(self.quorum):
            raise StoreUnavailable("too few stores answer")
        if reading.winner is None:
            return 0
        self.save(reading.winner)
        return reading.winner.seq

    def _there(self) -> list[str]:
        return [name for name in self.stores if name not in self.away]


class SimulatedApp:
    """What the platform's code asks of an application whose jobs are of these kinds."""

    def __init__(self, ledger: Ledger, clock: SimulatedClock, kinds: Iterable[str]) -> None:
        self.ledger, self.settings = ledger, SETTINGS
        self.tasks = {kind: TASKS[kind] for kind in kinds}
        self.bells, self.ring = Bells(), Ring()
        self.limits = SimulatedLimits(self.tasks, ledger, clock)
        self.breaker = SimulatedBreaker(clock)
        self.breakers = cast(Any, _Breakers(service=self.breaker))
        self.breakers.free = self.breaker.free
        nothing = SimpleNamespace(send=_ignore, emit=_ignore, cancel_replicas=_ignore)
        self.flower_events = self.workers = self.jobs = nothing


class _Breakers(dict[str, SimulatedBreaker]):
    free: Any


def _ignore(*_: Any) -> None: ...
