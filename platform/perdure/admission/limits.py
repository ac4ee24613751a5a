"""``app.limits``: how many jobs of a bulkhead, task or key run at once in all workers, and how many start per second.

A worker claims jobs that a limit bounds as the ledger's counts leave room, fairly between keys; its child then takes a
leased permit, which makes the limit strict whatever several workers do side by side. Permits of a process that dies are
freed with its jobs, or when their lease ends.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from perdure.admission.holder import holder_of
from perdure.errors import InvalidArguments
from perdure.ledger.jobs.lanes import Lane, Place
from perdure.model.records import Claim
from perdure.resilience.limits.fairness import plan
from perdure.resilience.limits.permits import Permits, PermitsConfig
from perdure.resilience.limits.rate_limit import RateLimit, RateLimitConfig
from perdure.resilience.redis.link import connect
from perdure.system.fork_gate import gate

if TYPE_CHECKING:
    from perdure.ledger import Ledger
    from perdure.model.task_spec import TaskSpec
    from perdure.settings.settings import BulkheadSettings, Settings

#: A permit's lease in leases of a worker: longer than it takes to find out that the holder is dead, so that the permit is
#: normally given back by whoever takes the job back.
LEASES = 2
#: Seconds after which a job that met a full limit is looked at again, at most.
LONGEST_WAIT = 1.0
#: Lanes of which it is known when they were served last; of more the longest ago are forgotten.
MOST_REMEMBERED = 10_000
#: Jobs that one look admits, at most: what waits its turn in a child takes up room within the limit.
PAGE = 10


class Limits:
    """The limits of an application's jobs.

    Args:
        settings: The application's settings.
        tasks: Its tasks by name.
        ledger: Says what runs.
    """

    def __init__(self, settings: Settings, tasks: Mapping[str, TaskSpec], ledger: Ledger) -> None:
        self._settings = settings
        self._tasks = tasks
        self._ledger = ledger
        self._redis = connect(settings.effective_redis_url)
        self._permits: dict[str, Permits] = {}
        self._rates: dict[str, RateLimit] = {}
        #: In which turn each lane was served last, so that all of them have theirs.
        self._served: dict[str, float] = {}
        self._turn = 0.0

    def of_task(self, name: str) -> int | None:
        """Return the limit of one key of a task; 1 for a task that this process does not know."""
        task = self._tasks.get(name)
        return 1 if task is None else task.limit

    def of_bulkhead(self, name: str) -> int | None:
        """Return the limit of a bulkhead; None for no bound."""
        settings = self._settings.bulkheads.get(name)
        return settings.limit if settings else None

    def admitted(
        self, bulkhead: str, lanes: Sequence[Lane], running: Mapping[Place, int], page: int = PAGE
    ) -> dict[str, int]:
        """Return how many jobs of each lane may start now by the limits on what runs at once, fairly between lanes.

        Args:
            bulkhead: Where they wait.
            lanes: Lanes in which jobs wait that may run now.
            running: What runs, by bulkhead, task and key.
            page: Jobs that whoever asks can take, at most; no more than :data:`PAGE` are admitted.
        """
        page, most = min(PAGE, page), self.of_bulkhead(bulkhead)
        here = sum(count for (where, _, _), count in running.items() if where == bulkhead)
        slots = page if most is None else min(page, most - here)
        # A key's limit holds for all bulkheads together.
        by_key: dict[tuple[str, str], int] = {}
        for (_, task, key), count in running.items():
            by_key[task, key] = by_key.get((task, key), 0) + count
        here_by_lane = {lane.name: by_key.get((lane.task, lane.limit_key or ""), 0) for lane in lanes}
        chosen = plan(
            {lane.name: page for lane in lanes},
            here_by_lane,
            max(0, slots),
            limits={
                lane.name: _share(limit, here_by_lane[lane.name])
                for lane in lanes
                if (limit := self.of_task(lane.task)) is not None
            },
            last_served=self._served,
        )
        return Counter(chosen)

    def served(self, lanes: Iterable[str]) -> None:
        """Note from which lanes jobs were claimed, one after the other: those have had their turn."""
        for lane in lanes:
            self._turn += 1
            self._served.pop(lane, None)
            self._served[lane] = self._turn
        while len(self._served) > MOST_REMEMBERED:
            del self._served[next(iter(self._served))]

    def may_start(self, bulkhead: str, task: str, most: int) -> int:
        """Take the tokens that jobs of a task need to start now by the limits per second.

        Returns:
            How many may start, up to ``most``. Tokens that are not used belong back; see :meth:`did_not_start`.
        """
        granted = most
        taken: list[RateLimit] = []
        for bucket in self._buckets(bulkhead, task):
            with gate:
                enough = bucket.take(granted)
            for earlier in taken:
                _give_back(earlier, granted - enough)
            taken.append(bucket)
            granted = enough
        return granted

    def did_not_start(self, bulkhead: str, task: str, count: int) -> None:
        """Put back the tokens of jobs that did not start after all."""
        for bucket in self._buckets(bulkhead, task):
            _give_back(bucket, count)

    def next_token_in(self, bulkhead: str, task: str) -> float:
        """Return the seconds after which it is worth asking for another token; 0 without a limit per second.

        Half of what a token takes to come: who asks does not know how long the last one has been gone.
        """
        return max((0.5 / bucket.config.rate for bucket in self._buckets(bulkhead, task)), default=0.0)

    def hold(self, claim: Claim, stack: ExitStack) -> None:
        """Take the permits that a claimed job needs; they are given back when the stack is closed.

        Raises:
            BulkheadFull: A limit is reached; nothing is held.
        """
        for permits, key in self._permits_of(claim):
            stack.enter_context(permits.acquire(key, token=holder_of(claim)))

    def free(self, claim: Claim) -> None:
        """Give back the permits of a job whose process is gone."""
        for permits, key in self._permits_of(claim):
            permits.free(key, holder_of(claim))

    def permits_of_task(self, name: str) -> Permits:
        """Return the permits of a task that has a limit.

        Raises:
            InvalidArguments: It has none.
        """
        limit = self.of_task(name)
        if limit is None:
            raise InvalidArguments(f"task {name!r} has no limit")
        return self._named(f"task:{name}", limit)

    def active(self, task: str, key: str) -> int:
        """Return how many jobs of a key run."""
        running = self._ledger.jobs.running_within_limits()
        return sum(count for (_, of_task, of_key), count in running.items() if (of_task, of_key) == (task, key))

    def snooze(self, rng: random.Random) -> float:
        """Return how many seconds a job waits that met a full limit."""
        return LONGEST_WAIT * rng.uniform(0.3, 1.0)

    def _permits_of(self, claim: Claim) -> Iterator[tuple[Permits, str]]:
        if claim.limit_key is None:
            return
        task = self._tasks.get(claim.task)
        if task is not None and task.limit is not None:
            yield self._named(f"task:{task.name}", task.limit), claim.limit_key
        if (limit := self.of_bulkhead(claim.bulkhead)) is not None:
            yield self._named(f"bulkhead:{claim.bulkhead}", limit), ""

    def _named(self, name: str, limit: int) -> Permits:
        if name not in self._permits:
            lease = max(1.0, LEASES * self._settings.lease_ttl)
            config, prefix = PermitsConfig(limit=limit, lease=lease), self._settings.redis_prefix
            self._permits[name] = Permits(self._redis, name, config, prefix=prefix)
        return self._permits[name]

    def _buckets(self, bulkhead: str, task: str) -> list[RateLimit]:
        settings, known = self._settings.bulkheads.get(bulkhead), self._tasks.get(task)
        rates = {f"task:{task}": known and known.rate, f"bulkhead:{bulkhead}": settings and settings.rate}
        return [self._bucket(name, rate) for name, rate in rates.items() if rate]

    def _bucket(self, name: str, rate: float) -> RateLimit:
        if name not in self._rates:
            config, prefix = RateLimitConfig(rate=rate), self._settings.redis_prefix
            self._rates[name] = RateLimit(self._redis, name, config, prefix=prefix)
        return self._rates[name]


def limit_key(task: TaskSpec, bulkhead: BulkheadSettings, call: Mapping[str, Any], tags: Mapping[str, str]) -> str | None:
    """Return the key for which a job counts: ``""`` without keys, None when nothing bounds it.

    Args:
        task: The job's task.
        bulkhead: What is set for where it runs.
        call: Its arguments by parameter.
        tags: Its tags.
    """
    if task.limit is task.rate is bulkhead.limit is bulkhead.rate is None:
        return None
    if task.limit_by is None:
        return ""
    value = call[task.limit_by] if task.limit_by in call else tags.get(task.limit_by, "")
    return str(value)[:255]


def _share(limit: int, running: int) -> int:
    """Return up to how many may run of a key when one child takes some: half of the room, the rest is for others."""
    return limit if running >= limit else running + (limit - running + 1) // 2


def _give_back(bucket: RateLimit, tokens: int) -> None:
    if tokens > 0:
        with gate:
            bucket.give_back(tokens)
