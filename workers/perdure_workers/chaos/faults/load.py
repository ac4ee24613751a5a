"""Load that no platform likes: herds, poison pills, a service that is down."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from perdure_workers.chaos.faults.fault import Bench
from perdure_workers.chaos.jobs import SERVICE_DOWN


@contextmanager
def herd(bench: Bench, count: int) -> Iterator[str]:
    """Everybody comes at once, to one bulkhead."""
    begun = time.monotonic()
    bench.workload.submit("chaos.nap", count)
    try:
        yield f"{count} jobs"
    finally:
        bench.flood = (begun, time.monotonic())


@contextmanager
def long_jobs(bench: Bench, count: int) -> Iterator[str]:
    """Jobs that run for longer than a worker's lease lasts."""
    bench.workload.submit("chaos.long", count)
    yield f"{count} jobs"


@contextmanager
def poison(bench: Bench, count: int) -> Iterator[str]:
    """Jobs that bring down whoever runs them."""
    bench.workload.submit("chaos.poison", count)
    yield f"{count} poison pills"


@contextmanager
def service_down(bench: Bench) -> Iterator[str]:
    """The service behind the circuit breaker refuses every call."""
    flag = bench.cluster.folder / SERVICE_DOWN
    flag.touch()
    bench.workload.submit("chaos.guarded", 20)
    try:
        yield "every call refused"
    finally:
        flag.unlink()
