"""Where checkpoints and payloads are kept, and what loops and effects go on from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.system.lazy_names import lazy_names

if TYPE_CHECKING:
    from perdure.stores.inbox import Inbox
    from perdure.stores.sources.cursor import Cursor
    from perdure.stores.sources.keyset import KeysetCursor
    from perdure.stores.sources.lines import TextLines

__all__ = [
    "Cursor",
    "Inbox",
    "KeysetCursor",
    "TextLines",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Cursor": "perdure.stores.sources.cursor",
        "Inbox": "perdure.stores.inbox",
        "KeysetCursor": "perdure.stores.sources.keyset",
        "TextLines": "perdure.stores.sources.lines",
    },
)
