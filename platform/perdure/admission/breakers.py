"""``app.breakers``: the circuit breakers that an application's jobs share across processes, as its settings want them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from perdure.admission.no_verdict import NO_VERDICT
from perdure.model.metrics import BREAKER_TRANSITIONS
from perdure.resilience.breaker.breakers import Breakers
from perdure.resilience.breaker.config import BreakerConfig
from perdure.resilience.redis.link import connect
from perdure.system.later import later

if TYPE_CHECKING:
    from perdure.model.tally import Tally
    from perdure.resilience.breaker.events import BreakerEvent
    from perdure.resilience.service import service_settings
    from perdure.settings.settings import Settings
else:
    (service_settings,) = later("perdure.resilience.service", "service_settings")


def breakers_of(settings: Settings, on_event: Callable[[BreakerEvent], None]) -> Breakers:
    """Return an application's breakers, as its settings want them; ``on_event`` is told of what happens to them here."""
    resilience = settings.resilience
    configs = {name: service_settings.breaker_config(name, given) for name, given in resilience.breakers.items()}
    for name, given in resilience.services.items():
        config = service_settings.service_config(name, given).breaker
        if config is not None:
            configs.setdefault(name, config)
    return Breakers(
        connect(settings.effective_redis_url),
        {name: _for_jobs(config) for name, config in configs.items()},
        default=_for_jobs(BreakerConfig()),
        on_event=on_event,
        prefix=settings.redis_prefix,
    )


def count_breaker(tally: Tally, event: BreakerEvent) -> None:
    """Count a change of a breaker's state."""
    if event.change is not None:
        tally.add(BREAKER_TRANSITIONS, event.name, str(event.change.from_state), str(event.change.to_state))


def _for_jobs(config: BreakerConfig) -> BreakerConfig:
    return replace(config, ignore=(*config.ignore, *NO_VERDICT))
