"""``app.failover``: the failover groups that an application's jobs share across processes, as its settings want them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from perdure.admission.no_verdict import NO_VERDICT
from perdure.model.metrics import FAILOVERS
from perdure.resilience.failover.group import FailoverConfig
from perdure.resilience.failover.groups import Failovers
from perdure.resilience.redis.link import connect
from perdure.resilience.service.service_settings import failover_settings

if TYPE_CHECKING:
    from perdure.model.tally import Tally
    from perdure.settings.settings import Settings


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
