"""Every metric that the platform has: the one table from which exporter, documentation and dashboard are made.

Names and units are Prometheus' conventions (https://prometheus.io/docs/practices/naming/): base units, ``_total`` for
counters, and labels whose values are few: tasks, bulkheads, services, never a job, a key or a message.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

Kind = Literal["counter", "gauge", "histogram"]

#: Upper ends of buckets, in seconds: about three for each tenfold.
SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3600.0)
#: Likewise of sizes, in bytes.
BYTES = (100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8)


class Metric(Struct, frozen=True):
    """One metric.

    Attributes:
        name: Its name for Prometheus; the series of a histogram are ``_bucket``, ``_sum`` and ``_count``.
        kind: What it is.
        labels: Its labels, in order.
        help: What it says.
        unit: Its unit, ``seconds`` or ``bytes``; empty for a number of things.
        buckets: The upper ends of a histogram's buckets, without infinity.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    unit: str = ""
    buckets: tuple[float, ...] = ()

    def place(self, value: float) -> int:
        """Return the place of the bucket in which a value lies, which is in the metric's unit: seconds or bytes."""
        return bisect_left(self.buckets, value)


def _gauge(name: str, labels: str, help: str, unit: str = "") -> Metric:
    return Metric(name, "gauge", tuple(labels.split()), help, unit)


def _counter(name: str, labels: str, help: str) -> Metric:
    return Metric(name, "counter", tuple(labels.split()), help)


def _histogram(name: str, labels: str, help: str, unit: str = "seconds") -> Metric:
    return Metric(name, "histogram", tuple(labels.split()), help, unit, BYTES if unit == "bytes" else SECONDS)


UP = _gauge("perdure_up", "part", "Whether the part could be read: 1, else 0.")

QUEUE_DEPTH = _gauge("perdure_queue_depth", "bulkhead", "Jobs that may run now and wait for a worker.")
WAITING = _gauge("perdure_jobs_waiting", "bulkhead", "Jobs that wait for their time: scheduled, or to be retried.")
RUNNING = _gauge("perdure_jobs_running", "task bulkhead", "Jobs that run.")
OLDEST = _gauge("perdure_oldest_queued_seconds", "bulkhead", "How long the oldest queued job has waited.", "seconds")
PAUSED = _gauge("perdure_bulkhead_paused", "bulkhead", "1 when somebody has paused the bulkhead, else 0.")
SUBMITTED = _counter("perdure_jobs_submitted_total", "bulkhead", "Jobs that were accepted.")
FINISHED = _counter("perdure_jobs_finished_total", "task bulkhead state", "Jobs that ended: succeeded, dead or cancelled.")
ATTEMPTS = _counter(
    "perdure_attempts_total",
    "task bulkhead outcome",
    "Attempts that ended; the outcome is succeeded, failed, timeout, crashed, snoozed, handed_back or cancelled.",
)
RETRIES = _counter("perdure_retries_total", "task bulkhead", "Attempts that failed and are tried again.")
DEAD_LETTERS = _counter("perdure_dead_letters_total", "task bulkhead reason", "Dead letters that were written.")
OPEN_LETTERS = _gauge("perdure_dead_letters_open", "task", "Dead letters that wait for somebody.")
RUN = _histogram("perdure_job_run_seconds", "task bulkhead", "How long attempts ran whose function ended by itself.")
WAIT = _histogram("perdure_job_wait_seconds", "task bulkhead", "How long attempts waited from when they could run.")
RECOVERY = _histogram(
    "perdure_recovery_seconds",
    "bulkhead",
    "From the last sign of life of a process that died to when the job that it ran was run again.",
)
BELLS_MISSED = _counter(
    "perdure_bells_missed_total", "bulkhead", "Jobs that an idle worker found by a look, as no bell had told of them."
)

WORKERS = _gauge("perdure_workers", "bulkhead state", "Live workers.")
HEARTBEAT = _gauge("perdure_worker_heartbeat_age_seconds", "worker", "Age of a live worker's last heartbeat.", "seconds")
OUTVOTED = _gauge("perdure_worker_outvoted", "worker", "Votes of replicas that a live worker lost since it was trusted.")
BARRED = _gauge("perdure_worker_barred", "worker", "1 when the worker takes part in no more votes, else 0.")
WORKER_FAILURES = _counter("perdure_worker_failures_total", "bulkhead", "Workers that were declared failed.")
DUTY = _histogram("perdure_duty_seconds", "duty outcome", "How long a run of a supervisor's duty took: done or failed.")
DUTY_AGE = _gauge("perdure_duty_age_seconds", "duty", "How long ago any supervisor did the duty.", "seconds")

CHECKPOINT = _histogram("perdure_checkpoint_save_seconds", "task", "How long it took to save a checkpoint.")
CHECKPOINT_SIZE = _histogram("perdure_checkpoint_size_bytes", "task", "How large saved checkpoints are.", "bytes")
CHECKPOINT_FAILURES = _counter(
    "perdure_checkpoint_failures_total", "task", "Checkpoints that could not be saved, or read as they were saved."
)

SERVICE_CALLS = _counter(
    "perdure_service_calls_total",
    "service outcome",
    "Calls of services in jobs: ok, degraded (a fallback served), failed, or refused before they reached the service.",
)
SERVICE_SECONDS = _histogram("perdure_service_call_seconds", "service", "How long calls of services took, with retries.")
FALLBACK = _counter(
    "perdure_fallback_served_total", "service level", "Calls by what served them: primary, a secondary, cached or default."
)
PERMITS = _gauge("perdure_permits_in_use", "kind name", "Permits in use: of a service, a task or a bulkhead with a limit.")

BREAKER_OPEN = _gauge("perdure_breaker_open", "breaker", "1 open, 0.5 half-open, 0 closed.")
BREAKER_CALLS = _counter(
    "perdure_breaker_calls_total", "breaker outcome", "Calls that breakers let through: success, failure."
)
BREAKER_SLOW = _counter("perdure_breaker_slow_calls_total", "breaker", "Calls that were slower than slow_call.")
BREAKER_REJECTED = _counter("perdure_breaker_rejected_total", "breaker", "Calls that were not let through.")
BREAKER_OPENED = _counter("perdure_breaker_opened_total", "breaker", "How often it opened.")
BREAKER_TRANSITIONS = _counter("perdure_breaker_transitions_total", "breaker from to", "Changes of a breaker's state.")

FAILOVER_CURRENT = _gauge("perdure_failover_current", "group member", "1 for the current member, else 0.")
FAILOVER_HEALTHY = _gauge("perdure_failover_healthy", "group member", "0 for a member that failed, else 1.")
FAILOVER_SWITCHES = _counter("perdure_failover_switches_total", "group", "Switches of a group to another member.")
FAILOVERS = _counter(
    "perdure_failovers_total", "group from to", "Switches that the platform's processes made, and promotions of a backup."
)

FAULT_ON = _gauge("perdure_fault_on", "kind target", "1 for each kind of fault that is injected on purpose now.")
FAULTS_STRUCK = _counter("perdure_faults_struck_total", "kind target", "Calls that a fault struck that was injected.")

#: All of them, in the order in which people read them.
METRICS: tuple[Metric, ...] = (
    UP,
    QUEUE_DEPTH,
    WAITING,
    RUNNING,
    OLDEST,
    PAUSED,
    SUBMITTED,
    FINISHED,
    ATTEMPTS,
    RETRIES,
    DEAD_LETTERS,
    OPEN_LETTERS,
    RUN,
    WAIT,
    RECOVERY,
    BELLS_MISSED,
    WORKERS,
    HEARTBEAT,
    OUTVOTED,
    BARRED,
    WORKER_FAILURES,
    DUTY,
    DUTY_AGE,
    CHECKPOINT,
    CHECKPOINT_SIZE,
    CHECKPOINT_FAILURES,
    SERVICE_CALLS,
    SERVICE_SECONDS,
    FALLBACK,
    PERMITS,
    BREAKER_OPEN,
    BREAKER_CALLS,
    BREAKER_SLOW,
    BREAKER_REJECTED,
    BREAKER_OPENED,
    BREAKER_TRANSITIONS,
    FAILOVER_CURRENT,
    FAILOVER_HEALTHY,
    FAILOVER_SWITCHES,
    FAILOVERS,
    FAULT_ON,
    FAULTS_STRUCK,
)
BY_NAME = {metric.name: metric for metric in METRICS}

#: Under which name the ends of jobs and attempts are kept, of which several metrics are made: task, bulkhead, outcome,
#: state after, reason of the death.
ENDED = "ended"
#: The place of what is only counted.
NO_BUCKET = -1


class Count(Struct, frozen=True):
    """Things that were counted since the last time: of one series, or of one bucket of a histogram.

    Attributes:
        name: The metric's name.
        labels: The values of its labels.
        count: How many.
        sum: What a histogram's values add up to.
        place: The bucket's place in a histogram; :data:`NO_BUCKET` for a counter.
    """

    name: str
    labels: tuple[str, ...]
    count: int
    sum: float = 0.0
    place: int = NO_BUCKET


class Distribution(Struct, frozen=True):
    """The values that a histogram has seen: how many in each bucket, infinity last, and their sum."""

    buckets: tuple[int, ...]
    sum: float

    @property
    def count(self) -> int:
        """How many values."""
        return sum(self.buckets)


class Series(Struct, frozen=True):
    """One series as it is now: a counter's or gauge's value, or a histogram's distribution."""

    metric: Metric
    labels: tuple[str, ...]
    value: float | Distribution


def series_of(counts: Iterable[Count]) -> list[Series]:
    """Return counts as series; those of a name that this release does not know are left out."""
    values: dict[tuple[str, tuple[str, ...]], float] = {}
    buckets: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for one in counts:
        metric = BY_NAME.get(one.name)
        if metric is None or len(metric.labels) != len(one.labels):
            continue
        key = one.name, one.labels
        values[key] = values.get(key, 0.0) + (one.count if one.place == NO_BUCKET else one.sum)
        if one.place != NO_BUCKET:
            seen = buckets.setdefault(key, [0] * (len(metric.buckets) + 1))
            seen[min(one.place, len(metric.buckets))] += one.count
    return [
        Series(
            BY_NAME[name], labels, Distribution(tuple(buckets[name, labels]), value) if (name, labels) in buckets else value
        )
        for (name, labels), value in sorted(values.items())
    ]


#: The value of a label in place of those beyond the most that are shown.
OTHERS = "(others)"


def bounded(series: Sequence[Series], most: int) -> list[Series]:
    """Return series with at most ``most`` for each metric: what is beyond is added up under :data:`OTHERS`.

    The ones that are kept are the first by their labels, so that they stay the same from one reading to the next.
    """
    kept: list[Series] = []
    beyond: dict[str, list[Series]] = {}
    seen: dict[str, int] = {}
    for one in sorted(series, key=lambda each: (each.metric.name, each.labels)):
        seen[one.metric.name] = seen.get(one.metric.name, 0) + 1
        (kept if seen[one.metric.name] < most else beyond.setdefault(one.metric.name, [])).append(one)
    return [*kept, *(_together(each) if len(each) > 1 else each[0] for each in beyond.values())]


def _together(series: Sequence[Series]) -> Series:
    metric = series[0].metric
    values = [one.value for one in series]
    labels = (OTHERS,) * len(metric.labels)
    if metric.kind == "histogram":
        found = [value for value in values if isinstance(value, Distribution)]
        buckets = tuple(map(sum, zip(*(value.buckets for value in found), strict=True)))
        return Series(metric, labels, Distribution(buckets, sum(value.sum for value in found)))
    return Series(metric, labels, sum(value for value in values if not isinstance(value, Distribution)))
