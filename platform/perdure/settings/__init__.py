"""Settings: where they come from, what they may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.system.lazy_names import lazy_names

if TYPE_CHECKING:
    from perdure.settings.settings import BulkheadSettings, Settings, load_settings

__all__ = [
    "BulkheadSettings",
    "Settings",
    "load_settings",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "BulkheadSettings": "perdure.settings.settings",
        "Settings": "perdure.settings.settings",
        "load_settings": "perdure.settings.settings",
    },
)
