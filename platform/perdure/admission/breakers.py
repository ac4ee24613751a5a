"""What an application's jobs share across processes: breakers and services, made from its settings on first use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from perdure.errors import BrokerUnavailable, HandedBack, JobCancelled, LeaseLost, LedgerUnavailable
from perdure.model.metrics import BREAKER_TRANSITIONS, FAILOVERS, FALLBACK, SERVICE_CALLS, SERVICE_SECONDS
from perdure.model.outcomes import Discard, NodeUnfit, Snooze
from perdure.model.tally import Tally
from perdure.resilience.breaker.breakers import Breakers
from perdure.resilience.breaker.config import BreakerConfig
from perdure.resilience.errors import NotCalled
from perdure.resilience.failover.group import FailoverConfig
from perdure.resilience.failover.groups import Failovers
from perdure.resilience.redis.link import connect
from perdure.resilience.service.fallback import PRIMARY
from perdure.resilience.service.service import Service, ServiceCall
from perdure.resilience.service.service_settings import breaker_config, failover_settings, service_config
from perdure.resilience.service.timeouts import Timeouts, TimeoutsConfig

if TYPE_CHECKING:
    from perdure.resilience.breaker.events import BreakerEvent
    from perdure.settings.settings import Settings

#: What a job raises to the platform, or the platform to a job, says nothing about the service that the job calls.
NO_VERDICT: tuple[type[Exception], ...] = (
    Discard,
    NodeUnfit,
    Snooze,
    HandedBack,
    JobCancelled,
    LeaseLost,
    LedgerUnavailable,
    BrokerUnavailable,
)


def breakers_of(settings: Settings, on_event: Callable[[BreakerEvent], None]) -> Breakers:
    """Return an application's breakers, as its settings want them; ``on_event`` is told of what happens to them here."""
    resilience = settings.resilience
    configs = {name: breaker_config(name, given) for name, given in resilience.breakers.items()}
    for name, given in resilience.services.items():
        config = service_config(name, given).breaker
        if config is not None:
            configs.setdefault(name, config)
    return Breakers(
        connect(settings.effective_redis_url),
        {name: _for_jobs(config) for name, config in configs.items()},
        default=_for_jobs(BreakerConfig()),
        on_event=on_event,
        prefix=settings.redis_prefix,
    )


def failovers_of(settings: Settings, tally: Tally) -> Failovers:
    """Return an application's failover groups, as its settings want them; their switches are counted."""
    found = {name: failover_settings(name, given) for name, given in settings.resilience.failover.items()}
    return Failovers(
        connect(settings.effective_redis_url),
        {name: replace(each, ignore=(*each.ignore, *NO_VERDICT)) for name, each in found.items()},
        default=FailoverConfig(ignore=NO_VERDICT),
        prefix=settings.redis_prefix,
        on_switch=lambda record: tally.add(FAILOVERS, record.group, record.from_member, record.to_member),
    )


def timeouts_of(settings: Settings) -> Timeouts:
    """Return the timeouts of an application's named operations."""
    operations = dict(settings.resilience.timeouts)
    default = operations.pop("default", TimeoutsConfig().default)
    return Timeouts(TimeoutsConfig(default=default, operations=operations))


def service_of(settings: Settings, breakers: Breakers, tally: Tally, name: str, parts: Mapping[str, Any]) -> Service:
    """Return a service as the settings want it; its breaker is the application's of that name, its calls are counted.

    Args:
        settings: The application's settings.
        breakers: Its breakers.
        tally: Counts calls.
        name: The service.
        parts: What :class:`~perdure.resilience.Service` takes besides its configuration.
    """
    config = service_config(name, settings.resilience.services.get(name, {}))
    breaker = breakers[name] if config.breaker is not None else None
    client = connect(settings.effective_redis_url)
    service = Service(client, name, config, breaker=breaker, prefix=settings.redis_prefix, **parts)
    service.listen(partial(count_call, tally))
    return service


def count_call(tally: Tally, call: ServiceCall) -> None:
    """Count a call of a service, unless how it ended says nothing about the service."""
    if isinstance(call.error, NO_VERDICT):
        return
    outcome = "ok" if call.level == PRIMARY else "degraded" if call.level else "failed"
    tally.add(SERVICE_CALLS, call.name, "refused" if isinstance(call.error, NotCalled) else outcome)
    tally.observe(call.seconds, SERVICE_SECONDS, call.name)
    if call.level:
        tally.add(FALLBACK, call.name, call.level)


def count_breaker(tally: Tally, event: BreakerEvent) -> None:
    """Count a change of a breaker's state."""
    if event.change is not None:
        tally.add(BREAKER_TRANSITIONS, event.name, str(event.change.from_state), str(event.change.to_state))


def _for_jobs(config: BreakerConfig) -> BreakerConfig:
    return replace(config, ignore=(*config.ignore, *NO_VERDICT))
