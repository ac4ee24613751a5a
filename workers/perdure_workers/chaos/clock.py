"""A host's clock that is wrong: what a process of the platform believes the time to be.

Only what Python asks for is wrong, and only the time of day: a kernel's monotonic clock has no time to be wrong about, and
a database has a clock of its own.
"""

from __future__ import annotations

import os
from datetime import timedelta

from perdure.system.extras import extra

#: In the environment of a process: the seconds by which its clock is ahead.
CLOCK = "CHAOS_CLOCK"


def set_clock() -> None:
    """Set this process' clock, and that of its children, as its environment wants it."""
    if ahead := float(os.environ.get(CLOCK, "0")):
        with extra("chaos", "a clock that is wrong"):
            import time_machine
        time_machine.travel(timedelta(seconds=ahead), tick=True).start()
