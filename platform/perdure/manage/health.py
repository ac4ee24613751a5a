"""``app.health``: named checks, run side by side, each with a time limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from perdure.resilience.config_checks import check_above_zero
from perdure.resilience.probe import Check, Finding, Probe, ask_all

#: Seconds that a check may take.
DEFAULT_TIMEOUT = 5.0


class CheckResult(Struct, frozen=True):
    """What one check found.

    ``error`` is empty when all is well. ``seconds`` is how long it took, ``at`` the Unix time at which it began, and
    ``details`` the text or mapping that it returned.
    """

    name: str
    healthy: bool
    critical: bool
    seconds: float
    error: str = ""
    details: str | Mapping[str, Any] | None = None
    at: float = 0.0


class HealthReport(Struct, frozen=True):
    """What all checks found, at a Unix time.

    ``status`` is ``healthy``, ``unhealthy``, or ``degraded`` when only checks that are not critical fail.
    """

    status: str
    checks: list[CheckResult]
    at: float = 0.0


class _Registered(Struct, frozen=True):
    name: str
    probe: Probe
    critical: bool


class Health:
    """The checks of an application; call it for a report. Thread-safe."""

    def __init__(self) -> None:
        self._checks: dict[str, _Registered] = {}
        self._last: HealthReport | None = None

    def register(self, name: str, check: Check, *, timeout: float = DEFAULT_TIMEOUT, critical: bool = True) -> None:
        """Add a check, or replace the one of that name.

        Args:
            name: What the report calls it.
            check: A function or coroutine function without arguments. What it raises, or False, says that something is
                wrong; a text or a mapping that it returns are details for the report.
            timeout: Seconds after which it counts as failed.
            critical: Whether the platform is unhealthy when it fails; else it is degraded.

        Raises:
            SettingsError: The time limit is not above 0.
        """
        check_above_zero(f"health check {name!r}: timeout", timeout)
        self._checks[name] = _Registered(name, Probe(check, timeout), critical)
        self._last = None

    def unregister(self, name: str) -> None:
        """Remove a check; it is no error when there is none of that name."""
        self._checks.pop(name, None)
        self._last = None

    def __call__(self, *, max_age: float = 0.0) -> HealthReport:
        """Run all checks at once and return what they found.

        A check that hangs is given up after its time limit, and is not started again before it has ended.

        Args:
            max_age: Seconds for which the last report will do: for pages and probes that many ask.
        """
        recent = self._recent(max_age)
        if recent is not None:
            return recent
        at, checks = time.time(), list(self._checks.values())
        return self._reported(at, checks, ask_all(each.probe for each in checks))

    async def call_async(self, *, max_age: float = 0.0) -> HealthReport:
        """Return a report as a call does, at most ``max_age`` seconds old.

        Coroutine functions run in this loop, other checks in threads.
        """
        recent = self._recent(max_age)
        if recent is not None:
            return recent
        at, checks = time.time(), list(self._checks.values())
        return self._reported(at, checks, await asyncio.gather(*(each.probe.ask_async() for each in checks)))

    def _recent(self, max_age: float) -> HealthReport | None:
        last = self._last
        return last if last is not None and 0 <= time.time() - last.at < max_age else None

    def _reported(self, at: float, checks: Sequence[_Registered], findings: Sequence[Finding]) -> HealthReport:
        results = [_result(one, finding) for one, finding in zip(checks, findings, strict=True)]
        failed = [result for result in results if not result.healthy]
        status = "unhealthy" if any(result.critical for result in failed) else "degraded" if failed else "healthy"
        self._last = HealthReport(status, results, at)
        return self._last


def _result(one: _Registered, found: Finding) -> CheckResult:
    return CheckResult(one.name, not found.error, one.critical, found.seconds, found.error, found.details, found.at)
