"""``app.timeouts``: how long an application's named operations may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.resilience.service.timeouts import Timeouts, TimeoutsConfig

if TYPE_CHECKING:
    from perdure.settings.settings import Settings


def timeouts_of(settings: Settings) -> Timeouts:
    """Return the timeouts of an application's named operations."""
    operations = dict(settings.resilience.timeouts)
    default = operations.pop("default", TimeoutsConfig().default)
    return Timeouts(TimeoutsConfig(default=default, operations=operations))
