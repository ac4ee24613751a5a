"""``app.metrics``: every metric as it is now, read from the ledger and Redis; see :mod:`perdure.model.metrics`."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from perdure.errors import LedgerUnavailable
from perdure.ledger import glance
from perdure.ledger.counts import Reading
from perdure.model import metrics as m
from perdure.model.metrics import Count, Metric, Series, bounded, series_of
from perdure.model.states import FINAL_STATES, DeadReason, JobState, Outcome

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

    from perdure.ledger import Ledger
    from perdure.model.faults.fault import Fault
    from perdure.resilience.breaker.breakers import Breakers
    from perdure.resilience.failover.groups import Failovers
    from perdure.resilience.service.service import Service

logger = logging.getLogger("perdure.metrics")

#: Series of one metric that are shown; more are added up as one. What they cost grows with the number of tasks.
MOST_SERIES = 1000
#: Faults whose open letters are counted.
MOST_FAULTS = 1000
#: Tasks whose series are there before anything is counted.
MOST_BEGUN = 100
_ENDS = (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.TIMEOUT, Outcome.CRASHED)
_OPEN = {"open": 1.0, "half_open": 0.5}


class Sources(Struct, frozen=True):
    """What metrics are read from.

    Attributes:
        ledger: The ledger.
        bulkheads: The names of the bulkheads.
        breakers: Returns the circuit breakers.
        failovers: Returns the failover groups.
        services: Returns the services that the settings name.
        tasks: Returns the application's tasks, and the bulkhead of each.
        faults: Returns the faults that are injected now.
    """

    ledger: Ledger
    bulkheads: Iterable[str]
    breakers: Callable[[], Breakers]
    failovers: Callable[[], Failovers]
    services: Callable[[], Iterable[Service]]
    tasks: Callable[[], Mapping[str, str]]
    faults: Callable[[], Iterable[Fault]]


class Metrics:
    """The metrics of an application.

    Args:
        sources: What they are read from.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._away: set[str] = set()

    def read(self) -> list[Series]:
        """Return all series as they are now; a part that cannot be read is left out, and ``perdure_up`` says so."""
        from redis.exceptions import RedisError  # here: redis-py is loaded by those who use it

        found: list[Series] = []
        for part, read in (("ledger", self._of_ledger), ("redis", self._of_redis)):
            try:
                found += [*read(), Series(m.UP, (part,), 1.0)]
                self._away.discard(part)
            except (LedgerUnavailable, RedisError) as error:
                found.append(Series(m.UP, (part,), 0.0))
                if part not in self._away:
                    logger.warning("metrics of the %s cannot be read: %s", part, error)
                self._away.add(part)
        return bounded(found, MOST_SERIES)

    def observe(self, provider: MeterProvider) -> None:
        """Give all series to OpenTelemetry as well, under their own names, whenever it asks.

        They are of the whole platform: do this in one process, or each of them tells the same.

        Args:
            provider: What makes meters, such as ``opentelemetry.metrics.get_meter_provider()``.
        """
        from perdure.manage.observed import observe

        observe(self.read, provider)

    def _of_ledger(self) -> Iterator[Series]:
        ledger, bulkheads = self._sources.ledger, self._sources.bulkheads
        reading = ledger.counts()
        begun = zeros(self._sources.tasks(), bulkheads)
        yield from series_of([*begun, *reading.counts, *of_ends(reading.ended)])
        yield from of_queues(reading, bulkheads)
        paused = ledger.direct(glance.paused_since)
        yield from (Series(m.PAUSED, (name,), float(name in paused)) for name in sorted({*bulkheads, *paused}))
        groups = ledger.letters.groups(limit=MOST_FAULTS, open_only=True)
        open_letters = (((_task(group.task, group.reason),), group.open) for group in groups)
        yield from _summed(m.OPEN_LETTERS, open_letters)
        workers = ledger.workers.listing()
        yield from _summed(m.WORKERS, (((worker.bulkhead, worker.state), 1) for worker in workers))
        for worker in workers:
            yield Series(m.HEARTBEAT, (worker.name,), worker.heartbeat_age)
            yield Series(m.OUTVOTED, (worker.name,), float(worker.outvoted))
            yield Series(m.BARRED, (worker.name,), float(worker.barred))
        yield from (Series(m.DUTY_AGE, (duty,), age) for duty, age in ledger.workers.duty_ages().items())
        within = ledger.jobs.running_within_limits().items()
        yield from _summed(m.PERMITS, ((("bulkhead", bulkhead), count) for (bulkhead, _, _), count in within))
        yield from _summed(m.PERMITS, ((("task", task), count) for (_, task, _), count in within))

    def _of_redis(self) -> Iterator[Series]:
        for service in self._sources.services():
            if service.permits is not None:
                yield Series(m.PERMITS, ("service", service.name), float(service.permits.snapshot().held))
        for breaker in self._sources.breakers().snapshots():
            name = breaker.name
            yield Series(m.BREAKER_OPEN, (name,), _OPEN.get(str(breaker.state), 0.0))
            yield Series(m.BREAKER_CALLS, (name, "success"), float(breaker.successes))
            yield Series(m.BREAKER_CALLS, (name, "failure"), float(breaker.failures))
            yield Series(m.BREAKER_SLOW, (name,), float(breaker.slow_calls))
            yield Series(m.BREAKER_REJECTED, (name,), float(breaker.rejected))
            yield Series(m.BREAKER_OPENED, (name,), float(breaker.opened))
        for fault in sorted({(str(each.kind), each.target) for each in self._sources.faults()}):
            yield Series(m.FAULT_ON, fault, 1.0)
        for group in (group.snapshot() for group in self._sources.failovers().values()):
            yield Series(m.FAILOVER_SWITCHES, (group.name,), float(group.epoch))
            for member in group.members:
                yield Series(m.FAILOVER_CURRENT, (group.name, member), float(member == group.current))
                yield Series(m.FAILOVER_HEALTHY, (group.name, member), float(group.healthy[member]))


def zeros(tasks: Mapping[str, str], bulkheads: Iterable[str]) -> Iterator[Count]:
    """Yield counts of nothing yet for what alerts look at: a series that begins with its first event shows no increase.

    https://prometheus.io/docs/practices/instrumentation/#avoid-missing-metrics

    Args:
        tasks: Names of tasks, and the bulkhead of each; those beyond :data:`MOST_BEGUN` begin with their first event.
        bulkheads: Names of bulkheads.
    """
    yield from (Count(one.name, (name,), 0) for name in bulkheads for one in (m.WORKER_FAILURES, m.BELLS_MISSED))
    for task in sorted(tasks)[:MOST_BEGUN]:
        yield Count(m.CHECKPOINT_FAILURES.name, (task,), 0)
        yield from (Count(m.ATTEMPTS.name, (task, tasks[task], outcome), 0) for outcome in _ENDS)
        yield from (Count(m.FINISHED.name, (task, tasks[task], state), 0) for state in sorted(FINAL_STATES))


def of_ends(ended: Mapping[tuple[str, ...], int]) -> Iterator[Count]:
    """Yield the counts of jobs, attempts, retries and dead letters that ends of jobs and attempts make.

    Args:
        ended: How many there were, by task, bulkhead, outcome, state after, and reason of the death.
    """
    for (task, bulkhead, outcome, state, reason), count in ended.items():
        if outcome:
            yield Count(m.ATTEMPTS.name, (task, bulkhead, outcome), count)
        if state in FINAL_STATES:
            yield Count(m.FINISHED.name, (task, bulkhead, state), count)
        if state == JobState.RETRYING and outcome != Outcome.SNOOZED:
            yield Count(m.RETRIES.name, (task, bulkhead), count)
        if reason:
            yield Count(m.DEAD_LETTERS.name, (task, bulkhead, reason), count)


def of_queues(reading: Reading, bulkheads: Iterable[str]) -> Iterator[Series]:
    """Yield what waits and runs, and how many jobs there have been: those that ended and those that have not."""
    ended: Counter[str] = Counter()
    for (_, bulkhead, _, state, _), count in reading.ended.items():
        ended[bulkhead] += count if state in FINAL_STATES else 0
    running: Counter[str] = Counter()
    for (task, bulkhead), count in sorted(reading.running.items()):
        running[bulkhead] += count
        yield Series(m.RUNNING, (task, bulkhead), float(count))
    for name in sorted({*bulkheads, *reading.queued, *reading.waiting, *running, *ended}):
        queued, oldest = reading.queued.get(name, (0, 0.0))
        waiting = reading.waiting.get(name, 0)
        yield Series(m.QUEUE_DEPTH, (name,), float(queued))
        yield Series(m.OLDEST, (name,), oldest)
        yield Series(m.WAITING, (name,), float(waiting))
        yield Series(m.SUBMITTED, (name,), float(queued + waiting + running[name] + ended[name]))


def _summed(metric: Metric, found: Iterable[tuple[tuple[str, ...], int]]) -> Iterator[Series]:
    total: Counter[tuple[str, ...]] = Counter()
    for labels, count in found:
        total[labels] += count
    return (Series(metric, labels, float(count)) for labels, count in sorted(total.items()))


def _task(task: str, reason: str) -> str:
    """Return the task of a dead letter as a label; what a message names that is no job was chosen by who sent it."""
    return "" if reason in (DeadReason.MALFORMED, DeadReason.UNKNOWN_TASK) else task
