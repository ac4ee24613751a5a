"""``app.limits``: how many jobs of a bulkhead, task or key run at once in all workers, and how many start per second.

Jobs that a limit bounds get no ticket when they are submitted. The dispatcher sends tickets as there is room, fairly
between keys, by the ledger's counts; a worker's child then takes a leased permit, which makes the limit strict whatever
several dispatchers do side by side. Permits of a process that dies are freed with its jobs, or when their lease ends.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perdure.errors import InvalidArguments
from perdure.fork_gate import gate
from perdure.ledger.limits import KEYS, PAGE, LimitCount, Place
from perdure.ledger.records import Claim, Ticketed
from perdure.resilience.fairness import plan
from perdure.resilience.permits import Permits, PermitsConfig
from perdure.resilience.rate_limit import RateLimit, RateLimitConfig
from perdure.resilience.redis_link import connect

if TYPE_CHECKING:
    from perdure.app import Perdure
    from perdure.task import Task

#: A permit's lease in leases of a worker: longer than it takes to find out that the holder is dead, so that the permit is
#: normally given back by whoever takes the job back.
LEASES = 2
#: Seconds after which a job that met a full limit is looked at again, at most.
LONGEST_WAIT = 1.0


@dataclass(frozen=True, slots=True)
class Share:
    """How many jobs of a key of a task may get their tickets now."""

    bulkhead: str
    task: str
    key: str
    count: int


def shares(
    counts: Sequence[LimitCount],
    limit_of_task: Callable[[str], int | None],
    limit_of_bulkhead: Callable[[str], int | None],
) -> list[Share]:
    """Return which jobs may get their tickets, fairly between tasks and keys of each bulkhead.

    Args:
        counts: What waits and what takes up room.
        limit_of_task: The most of one key of a task that may run at once, in all bulkheads; None for no bound.
        limit_of_bulkhead: The most that may run at once in a bulkhead; None for no bound.
    """
    by_key: Counter[tuple[str, str]] = Counter()
    for count in counts:
        by_key[count.task, count.key] += count.active
    found = []
    for bulkhead in sorted({count.bulkhead for count in counts}):
        here = {(count.task, count.key): count for count in counts if count.bulkhead == bulkhead}
        most = limit_of_bulkhead(bulkhead)
        slots = PAGE if most is None else min(PAGE, most - sum(count.active for count in here.values()))
        names = {f"{task}\0{key}": (task, key) for task, key in here}
        limits = {name: limit for name, (task, _) in names.items() if (limit := limit_of_task(task)) is not None}
        chosen = plan(
            {name: here[pair].waiting for name, pair in names.items()},
            {name: by_key[pair] for name, pair in names.items()},
            max(0, slots),
            limits=limits,
        )
        for name, number in Counter(chosen).items():
            task, key = names[name]
            by_key[task, key] += number
            found.append(Share(bulkhead, task, key, number))
    return found


class Limits:
    """The limits of an application's jobs.

    Args:
        app: The application.
    """

    def __init__(self, app: Perdure) -> None:
        self._app = app
        self._redis = connect(app.settings.effective_redis_url)
        self._permits: dict[str, Permits] = {}
        self._rates: dict[str, RateLimit] = {}
        self._looked_at: Place | None = None

    def of_task(self, name: str) -> int | None:
        """Return the limit of one key of a task; 1 for a task that this process does not know."""
        task = self._app.tasks.get(name)
        return 1 if task is None else task.limit

    def of_bulkhead(self, name: str) -> int | None:
        """Return the limit of a bulkhead; None for no bound."""
        settings = self._app.settings.bulkheads.get(name)
        return settings.limit if settings else None

    def take(self) -> list[Ticketed]:
        """Take waiting jobs for which there is room now, and which the rate limits let start."""
        after = self._looked_at
        counts = self._app.ledger.limit_counts(after)
        waiting = [count for count in counts if count.waiting]
        self._looked_at = _last(waiting, after) if len(waiting) >= KEYS else None
        wanted = {place: self._within_rate(place, number) for place, number in self._allowed(counts).items()}
        if not any(wanted.values()):
            return []
        return self._app.ledger.take_within_limits(wanted, self._allowed, after)

    def _allowed(self, counts: Sequence[LimitCount]) -> dict[Place, int]:
        found = shares(counts, self.of_task, self.of_bulkhead)
        return {(share.bulkhead, share.task, share.key): share.count for share in found}

    def hold(self, claim: Claim, stack: ExitStack) -> None:
        """Take the permits that a claimed job needs; they are given back when the stack is closed.

        Raises:
            BulkheadFull: A limit is reached; nothing is held.
        """
        for permits, key in self._permits_of(claim):
            stack.enter_context(permits.acquire(key, token=_token(claim)))

    def free(self, claim: Claim) -> None:
        """Give back the permits of a job whose process is gone."""
        for permits, key in self._permits_of(claim):
            permits.free(key, _token(claim))

    def permits_of_task(self, name: str) -> Permits:
        """Return the permits of a task that has a limit."""
        limit = self.of_task(name)
        if limit is None:
            raise InvalidArguments(f"task {name!r} has no limit")
        return self._named(f"task:{name}", limit)

    def active(self, task: str, key: str) -> int:
        """Return how many jobs of a key take up room, those whose tickets are out included."""
        return sum(c.active for c in self._app.ledger.limit_counts() if (c.task, c.key) == (task, key))

    def snooze(self, rng: random.Random) -> float:
        """Return how many seconds a job waits that met a full limit."""
        return LONGEST_WAIT * rng.uniform(0.3, 1.0)

    def _permits_of(self, claim: Claim) -> Iterator[tuple[Permits, str]]:
        if claim.limit_key is None:
            return
        task = self._app.tasks.get(claim.task)
        if task is not None and task.limit is not None:
            yield self._named(f"task:{task.name}", task.limit), claim.limit_key
        if (limit := self.of_bulkhead(claim.bulkhead)) is not None:
            yield self._named(f"bulkhead:{claim.bulkhead}", limit), ""

    def _named(self, name: str, limit: int) -> Permits:
        if name not in self._permits:
            lease = max(1.0, LEASES * self._app.settings.lease_ttl)
            config, prefix = PermitsConfig(limit=limit, lease=lease), self._app.settings.redis_prefix
            self._permits[name] = Permits(self._redis, name, config, prefix=prefix)
        return self._permits[name]

    def _within_rate(self, place: Place, count: int) -> int:
        in_bulkhead, of_task, _ = place
        task = self._app.tasks.get(of_task)
        settings = self._app.settings.bulkheads.get(in_bulkhead)
        rates = {f"task:{of_task}": task and task.rate, f"bulkhead:{in_bulkhead}": settings and settings.rate}
        if not any(rates.values()):
            return count
        buckets = [self._bucket(name, rate) for name, rate in rates.items() if rate]
        granted = 0
        with gate.use():
            while granted < count and all(bucket.try_acquire() == 0 for bucket in buckets):
                granted += 1
        return granted

    def _bucket(self, name: str, rate: float) -> RateLimit:
        if name not in self._rates:
            config, prefix = RateLimitConfig(rate=rate), self._app.settings.redis_prefix
            self._rates[name] = RateLimit(self._redis, name, config, prefix=prefix)
        return self._rates[name]


def limit_key(
    app: Perdure, task: Task[..., Any], bulkhead: str, call: Mapping[str, Any], tags: Mapping[str, str]
) -> str | None:
    """Return the key for which a job counts: ``""`` without keys, None when nothing bounds it.

    Args:
        app: The application.
        task: The job's task.
        bulkhead: Where it runs.
        call: Its arguments by parameter.
        tags: Its tags.
    """
    settings = app.settings.bulkheads[bulkhead]
    if task.limit is task.rate is settings.limit is settings.rate is None:
        return None
    if task.limit_by is None:
        return ""
    value = call[task.limit_by] if task.limit_by in call else tags.get(task.limit_by, "")
    return str(value)[:255]


def _last(waiting: Sequence[LimitCount], after: Place | None) -> Place:
    """Return the key at which a look has ended that began behind ``after`` and went on from the first one at the end."""
    places = [(count.bulkhead, count.task, count.key) for count in waiting]
    return max([place for place in places if after is None or place <= after] or places)


def _token(claim: Claim) -> str:
    return f"{claim.job_id}:{claim.fence}"
