"""The names under which ledgers know perdure's own exceptions, whatever module they have moved to since.

A name that is stored is there for good: dead letters are found by it, and one fault keeps one fingerprint.
"""

from __future__ import annotations

#: Where an exception is now, and where it was when ledgers first heard of it.
_FIRST_KNOWN_AS = {
    "perdure.manage.platform_checks": "perdure.health",
    "perdure.manage.primary_backup": "perdure.primary_backup",
    "perdure.model.checkpoint_schema": "perdure.state",
    "perdure.model.cron": "perdure.cron",
    "perdure.model.outcomes": "perdure.control",
    "perdure.model.replication": "perdure.resilience.replication",
    "perdure.model.settlement": "perdure.decision",
    "perdure.model.storage_errors": "perdure.stores.errors",
    "perdure.resilience.breaker.events": "perdure.resilience.breaker_events",
    "perdure.resilience.limits.rate_limit": "perdure.resilience.rate_limit",
    "perdure.resilience.redis.link": "perdure.resilience.redis_link",
    "perdure.resilience.service.timeouts": "perdure.resilience.timeouts",
    "perdure.running.steps": "perdure.steps",
    "perdure.system.extras": "perdure.extras",
}
_IS_NOW = {stored: now for now, stored in _FIRST_KNOWN_AS.items()}


def stored_module(module: str) -> str:
    """Return the module under which ledgers know what an exception's module has."""
    return _FIRST_KNOWN_AS.get(module, module)


def present_module(stored: str) -> str:
    """Return the module in which an exception is that is known by a stored name."""
    return _IS_NOW.get(stored, stored)
