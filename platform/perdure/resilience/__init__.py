"""Patterns that keep a service working while what it depends on does not. Each is usable alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.system.lazy_names import lazy_names

if TYPE_CHECKING:
    from perdure.resilience.breaker.breaker import CircuitBreaker
    from perdure.resilience.breaker.config import BreakerConfig
    from perdure.resilience.breaker.events import CircuitOpen
    from perdure.resilience.failover.group import FailoverConfig, FailoverGroup, Member
    from perdure.resilience.heartbeat import HeartbeatConfig, HeartbeatMonitor, NodeEvent
    from perdure.resilience.limits.permits import Permits, PermitsConfig
    from perdure.resilience.limits.rate_limit import RateLimit, RateLimitConfig, RateLimited
    from perdure.resilience.limits.resource_pool import PoolConfig, ResourcePool
    from perdure.resilience.n_version import NVersion, Outvoted, VoteConfig
    from perdure.resilience.retry.budget import RetryBudget, RetryBudgetConfig
    from perdure.resilience.retry.retrying import retrying
    from perdure.resilience.service.call_key import keyed
    from perdure.resilience.service.deadline import deadline, remaining
    from perdure.resilience.service.fallback import Fallback
    from perdure.resilience.service.service import Service
    from perdure.resilience.service.service_settings import service_config
    from perdure.resilience.service.timeouts import OperationTimeout, Timeouts, TimeoutsConfig

__all__ = [
    "BreakerConfig",
    "CircuitBreaker",
    "CircuitOpen",
    "FailoverConfig",
    "FailoverGroup",
    "Fallback",
    "HeartbeatConfig",
    "HeartbeatMonitor",
    "Member",
    "NVersion",
    "NodeEvent",
    "OperationTimeout",
    "Outvoted",
    "Permits",
    "PermitsConfig",
    "PoolConfig",
    "RateLimit",
    "RateLimitConfig",
    "RateLimited",
    "ResourcePool",
    "RetryBudget",
    "RetryBudgetConfig",
    "Service",
    "Timeouts",
    "TimeoutsConfig",
    "VoteConfig",
    "deadline",
    "keyed",
    "remaining",
    "retrying",
    "service_config",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "BreakerConfig": "perdure.resilience.breaker.config",
        "CircuitBreaker": "perdure.resilience.breaker.breaker",
        "CircuitOpen": "perdure.resilience.breaker.events",
        "FailoverConfig": "perdure.resilience.failover.group",
        "FailoverGroup": "perdure.resilience.failover.group",
        "Fallback": "perdure.resilience.service.fallback",
        "HeartbeatConfig": "perdure.resilience.heartbeat",
        "HeartbeatMonitor": "perdure.resilience.heartbeat",
        "Member": "perdure.resilience.failover.group",
        "NVersion": "perdure.resilience.n_version",
        "NodeEvent": "perdure.resilience.heartbeat",
        "OperationTimeout": "perdure.resilience.service.timeouts",
        "Outvoted": "perdure.resilience.n_version",
        "Permits": "perdure.resilience.limits.permits",
        "PermitsConfig": "perdure.resilience.limits.permits",
        "PoolConfig": "perdure.resilience.limits.resource_pool",
        "RateLimit": "perdure.resilience.limits.rate_limit",
        "RateLimitConfig": "perdure.resilience.limits.rate_limit",
        "RateLimited": "perdure.resilience.limits.rate_limit",
        "ResourcePool": "perdure.resilience.limits.resource_pool",
        "RetryBudget": "perdure.resilience.retry.budget",
        "RetryBudgetConfig": "perdure.resilience.retry.budget",
        "Service": "perdure.resilience.service.service",
        "Timeouts": "perdure.resilience.service.timeouts",
        "TimeoutsConfig": "perdure.resilience.service.timeouts",
        "VoteConfig": "perdure.resilience.n_version",
        "deadline": "perdure.resilience.service.deadline",
        "keyed": "perdure.resilience.service.call_key",
        "remaining": "perdure.resilience.service.deadline",
        "retrying": "perdure.resilience.retry.retrying",
        "service_config": "perdure.resilience.service.service_settings",
    },
)
