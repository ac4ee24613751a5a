"""Where checkpoints and payloads are kept, and what loops, effects and services go on from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.system.lazy_names import lazy_names

if TYPE_CHECKING:
    from perdure.stores.backends.filesystem import FilesystemStore
    from perdure.stores.backends.redis import RedisStore
    from perdure.stores.inbox import Inbox
    from perdure.stores.record import RecordCodec
    from perdure.stores.replicated.replicated import ReplicatedStore
    from perdure.stores.replicated.replicated_data import ReplicatedData
    from perdure.stores.service_state import ServiceState
    from perdure.stores.sources.cursor import Cursor
    from perdure.stores.sources.keyset import KeysetCursor
    from perdure.stores.sources.lines import TextLines

__all__ = [
    "Cursor",
    "FilesystemStore",
    "Inbox",
    "KeysetCursor",
    "RecordCodec",
    "RedisStore",
    "ReplicatedData",
    "ReplicatedStore",
    "ServiceState",
    "TextLines",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Cursor": "perdure.stores.sources.cursor",
        "FilesystemStore": "perdure.stores.backends.filesystem",
        "Inbox": "perdure.stores.inbox",
        "KeysetCursor": "perdure.stores.sources.keyset",
        "RecordCodec": "perdure.stores.record",
        "RedisStore": "perdure.stores.backends.redis",
        "ReplicatedData": "perdure.stores.replicated.replicated_data",
        "ReplicatedStore": "perdure.stores.replicated.replicated",
        "ServiceState": "perdure.stores.service_state",
        "TextLines": "perdure.stores.sources.lines",
    },
)
