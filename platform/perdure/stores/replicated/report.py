"""What a replicated store tells about stores that were at fault."""

from __future__ import annotations

from msgspec import Struct, field

from perdure.stores.protocol import Damage
from perdure.stores.record import CheckpointKey, Version


class ReplicaReport(Struct, frozen=True):
    """What was wrong with the stores during one operation.

    Args:
        action: the operation, ``save``, ``load``...
        key: the checkpoint it was about.
        failed: the stores that did not answer or refused, and why.
        stale: the stores that lacked the newest record.
        damaged: the damaged copies that were found.
        repaired: the stores that were brought up to date.
        lost: the newest version of which only damaged copies were found, if that was so.
        unconfirmed: newer versions that too few stores hold, by store: a save that did not succeed, or a lie.
    """

    action: str
    key: CheckpointKey
    failed: dict[str, str] = field(default_factory=dict)
    stale: frozenset[str] = frozenset()
    damaged: tuple[Damage, ...] = ()
    repaired: frozenset[str] = frozenset()
    lost: Version | None = None
    unconfirmed: dict[str, Version] = field(default_factory=dict)
