"""What a worker's main process and its children share; made before the children are forked."""

from __future__ import annotations

from msgspec import Struct, field

from perdure_workers.shared.drain import DrainFlag
from perdure_workers.shared.slots import Slots
from perdure_workers.shared.time_limits import TimeLimits
from perdure_workers.shared.wakeups import Wakeups


class Shared(Struct, frozen=True):
    """Memory that a worker's processes share.

    Attributes:
        wakeups: Tell children that there may be work.
        draining: Says whether the worker wants its jobs back.
        slots: What each child does.
        time_limits: Limits that operators set.
    """

    wakeups: Wakeups
    draining: DrainFlag = field(default_factory=DrainFlag)
    slots: Slots = field(default_factory=Slots)
    time_limits: TimeLimits = field(default_factory=TimeLimits)
