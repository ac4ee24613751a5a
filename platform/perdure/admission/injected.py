"""An application's injected faults, made from its settings; their strikes are counted."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from perdure.faults.faults import Faults
from perdure.model.metrics import FAULTS_STRUCK
from perdure.model.tally import Tally

if TYPE_CHECKING:
    from perdure.faults.injector import FaultEvent
    from perdure.settings.settings import Settings


def faults_of(settings: Settings, tally: Tally, tasks: Collection[str]) -> Faults:
    """Return an application's injected faults.

    Args:
        settings: The application's settings.
        tally: Counts what they strike.
        tasks: The names of its tasks, also of those that are yet to come.
    """

    def count(event: FaultEvent) -> None:
        if event.what == "struck":
            tally.add(FAULTS_STRUCK, str(event.fault.kind), event.fault.target)

    faults = Faults(
        settings.effective_redis_url,
        settings.redis_prefix,
        allowed=settings.faults_allowed,
        names=lambda: {"task": tasks, "bulkhead": settings.bulkheads},
    )
    faults.listen(count)
    return faults
