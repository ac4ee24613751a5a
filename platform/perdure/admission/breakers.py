"""What an application's jobs share across processes: breakers and services, made from its settings on first use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from perdure.errors import BrokerUnavailable, HandedBack, JobCancelled, LeaseLost, LedgerUnavailable
from perdure.model.outcomes import Discard, Snooze
from perdure.resilience.breaker.breakers import Breakers
from perdure.resilience.breaker.config import BreakerConfig
from perdure.resilience.redis.link import connect
from perdure.resilience.service.service import Service
from perdure.resilience.service.service_settings import breaker_config, service_config

if TYPE_CHECKING:
    from perdure.app import Perdure

#: What a job raises to the platform, or the platform to a job, says nothing about the service that the job calls.
NO_VERDICT: tuple[type[BaseException], ...] = (
    Discard,
    Snooze,
    HandedBack,
    JobCancelled,
    LeaseLost,
    LedgerUnavailable,
    BrokerUnavailable,
)


def breakers_of(app: Perdure) -> Breakers:
    """Return an application's breakers, as its settings want them."""
    resilience = app.settings.resilience
    configs = {name: breaker_config(name, given) for name, given in resilience.breakers.items()}
    for name, given in resilience.services.items():
        config = service_config(name, given).breaker
        if config is not None:
            configs.setdefault(name, config)
    return Breakers(
        connect(app.settings.effective_redis_url),
        {name: _for_jobs(config) for name, config in configs.items()},
        default=_for_jobs(BreakerConfig()),
        on_event=app.breaker_events.emit,
        prefix=app.settings.redis_prefix,
    )


def service_of(app: Perdure, name: str, given: Mapping[str, Any], parts: Mapping[str, Any]) -> Service:
    """Return a service; its breaker is the application's of that name."""
    config = service_config(name, given)
    breaker = app.breakers[name] if config.breaker is not None else None
    client, prefix = connect(app.settings.effective_redis_url), app.settings.redis_prefix
    return Service(client, name, config, breaker=breaker, prefix=prefix, **parts)


def _for_jobs(config: BreakerConfig) -> BreakerConfig:
    return replace(config, ignore=(*config.ignore, *NO_VERDICT))
