"""``app.health``: named checks, run side by side, each with a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass

#: Seconds that a check may take.
DEFAULT_TIMEOUT = 5.0

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


def _result(one: _Registered, future: Future[object], started: float) -> CheckResult:
    error = ""
    try:
        future.result(timeout=max(0.0, started + one.timeout - time.monotonic()))
    except TooLate:
        error = f"no answer within {one.timeout:g} s"
    except Exception as problem:  # noqa: BLE001 - whatever a check raises is what it found
        error = f"{type(problem).__name__}: {problem}"
    return CheckResult(one.name, not error, one.critical, round(time.monotonic() - started, 3), error)
