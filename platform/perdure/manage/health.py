"""``app.health``: named checks, run side by side, each with a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perdure.errors import BulkheadFull, PerdureError

if TYPE_CHECKING:
    from celery import Celery

    from perdure.ledger import Ledger
    from perdure.resilience.breaker.breakers import Breakers
    from perdure.settings.settings import Settings

#: Seconds that a check may take.
DEFAULT_TIMEOUT = 5.0


class CircuitOpenNow(PerdureError):
    """Circuit breakers are open, so the jobs and calls behind them wait or fail."""


Check = Callable[[], object]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found; ``seconds`` is how long it took, ``error`` is empty when all is well."""

    name: str
    healthy: bool
    critical: bool
    seconds: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """What all checks found.

    ``status`` is ``healthy``, ``unhealthy``, or ``degraded`` when only checks that are not critical fail.
    """

    status: str
    checks: list[CheckResult]


@dataclass(frozen=True, slots=True)
class _Registered:
    name: str
    check: Check
    timeout: float
    critical: bool


class Health:
    """The checks of an application; call it for a report."""

    def __init__(self) -> None:
        self._checks: dict[str, _Registered] = {}

    def register(self, name: str, check: Check, *, timeout: float = DEFAULT_TIMEOUT, critical: bool = True) -> None:
        """Add a check, or replace the one of that name.

        Args:
            name: What the report calls it.
            check: Called without arguments; what it raises says what is wrong.
            timeout: Seconds after which it counts as failed.
            critical: Whether the platform is unhealthy when it fails; else it is degraded.
        """
        self._checks[name] = _Registered(name, check, timeout, critical)

    def __call__(self) -> HealthReport:
        """Run all checks at once and return what they found."""
        pool = ThreadPoolExecutor(max_workers=max(1, len(self._checks)), thread_name_prefix="perdure-health")
        started = time.monotonic()
        running = [(one, pool.submit(one.check)) for one in self._checks.values()]
        results = [_result(one, future, started) for one, future in running]
        pool.shutdown(wait=False, cancel_futures=True)  # a check that hangs is left behind, not waited for
        failed = [result for result in results if not result.healthy]
        status = "unhealthy" if any(result.critical for result in failed) else "degraded" if failed else "healthy"
        return HealthReport(status, results)


def platform_health(
    settings: Settings, ledger: Ledger, breakers: Callable[[], Breakers], celery: Callable[[], Celery]
) -> Health:
    """Return the checks that every application has: ledger, broker, circuit breakers, and room in its bulkheads."""
    health = Health()
    health.register("ledger", ledger.probe)
    health.register("broker", lambda: _ping(settings, celery), critical=False)
    health.register("breakers", lambda: _all_closed(breakers()), critical=False)
    health.register("bulkheads", lambda: _all_have_room(settings, ledger), critical=False)
    return health


def _all_closed(known: Breakers) -> None:
    breakers = [known[name].snapshot() for name in known]
    if found := [f"{each.name} is {each.state}: {each.reason}" for each in breakers if each.state != "closed"]:
        raise CircuitOpenNow("; ".join(found))


def _all_have_room(settings: Settings, ledger: Ledger) -> None:
    bounded = {name: each.max_depth for name, each in settings.bulkheads.items() if each.max_depth is not None}
    if found := [name for name, most in bounded.items() if ledger.depth(name, most) >= most]:
        raise BulkheadFull(f"{', '.join(found)}: as many jobs wait as max_depth allows, so no more are taken")


def _ping(settings: Settings, celery: Callable[[], Celery]) -> None:
    """Reach the broker. In a Redis write a key: one that is full, or a replica, answers and takes no bells."""
    from perdure.resilience.redis.address import connect, is_redis

    url = settings.effective_broker_url
    if not is_redis(url):
        application: Any = celery()
        with application.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
        return
    with connect(url, socket_connect_timeout=2, socket_timeout=2) as client:
        client.set(f"{settings.redis_prefix}health", "1", px=1000)


def _result(one: _Registered, future: Future[object], started: float) -> CheckResult:
    error = ""
    try:
        future.result(timeout=max(0.0, started + one.timeout - time.monotonic()))
    except TooLate:
        error = f"no answer within {one.timeout:g} s"
    except Exception as problem:  # noqa: BLE001 - whatever a check raises is what it found
        error = f"{type(problem).__name__}: {problem}"
    return CheckResult(one.name, not error, one.critical, round(time.monotonic() - started, 3), error)
