"""Names of perdure's keys in Redis: a prefix, which tells applications apart that share a database, and a name.

What stands in braces decides the slot of a Redis cluster, so keys with the same braces can be changed by one script.
"""

from __future__ import annotations

DEFAULT_PREFIX = "perdure:"


def registry_key(prefix: str) -> str:
    """Return the key of the breakers' names, a sorted set by the Unix time of their last use."""
    return f"{prefix}breakers"


def breaker_key(name: str, prefix: str = DEFAULT_PREFIX) -> str:
    """Return the key of a breaker's hash; its history has ``:history`` added."""
    return f"{prefix}breaker:{{{name}}}"


def permits_key(name: str, key: str, prefix: str) -> str:
    """Return the key of a sorted set of permits; that of the waiters has ``:waiting`` added."""
    return f"{prefix}permits:{{{name}:{key}}}"


def rate_key(name: str, key: str, prefix: str) -> str:
    """Return the key of a token bucket's hash."""
    return f"{prefix}rate:{{{name}:{key}}}"


def retry_budget_key(name: str, prefix: str) -> str:
    """Return the key of a retry budget's tokens, a string."""
    return f"{prefix}retry-budget:{{{name}}}"


def failover_key(name: str, prefix: str) -> str:
    """Return the key of a failover group's hash; ``:records`` and ``:turn`` are added for its list and its turn."""
    return f"{prefix}failover:{{{name}}}"


def heartbeat_key(group: str, prefix: str) -> str:
    """Return the key of a hash of a group's last heartbeats; ``:states`` is added for that of the nodes' states."""
    return f"{prefix}heartbeat:{{{group}}}"


def fallback_key(name: str, call: str, prefix: str) -> str:
    """Return the key of a call's last good value, a string."""
    return f"{prefix}fallback:{{{name}}}:{call}"


def faults_key(prefix: str) -> str:
    """Return the key of a hash of injected faults by id."""
    return f"{prefix}faults"
