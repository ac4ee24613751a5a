"""``app.service``: what an application's jobs call, protected as its settings want it; its calls are counted."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from perdure.admission.no_verdict import NO_VERDICT
from perdure.model.metrics import FALLBACK, SERVICE_CALLS, SERVICE_SECONDS
from perdure.resilience.errors import NotCalled
from perdure.resilience.redis.link import connect
from perdure.resilience.service.fallback import PRIMARY
from perdure.resilience.service.service import Service, ServiceCall
from perdure.resilience.service.service_settings import service_config

if TYPE_CHECKING:
    from perdure.model.tally import Tally
    from perdure.resilience.breaker.breakers import Breakers
    from perdure.settings.settings import Settings


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
