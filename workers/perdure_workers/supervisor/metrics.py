"""What a worker's or supervisor's process counts, in Prometheus' default registry."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import Histogram


def count_duty(duty: str, outcome: str, seconds: float) -> None:
    """Count a run of a duty; ``outcome`` is ``done``, or ``failed`` when it raised.

    Whoever shows the registry has loaded Prometheus' client; where nobody has, its megabytes are left out.
    """
    if "prometheus_client" in sys.modules:
        _duty_seconds().labels(duty, outcome).observe(seconds)


@cache
def _duty_seconds() -> Histogram:
    from prometheus_client import Histogram

    return Histogram(
        "perdure_duty_seconds",
        "Seconds that a run of a supervisor's duty took.",
        ["duty", "outcome"],
        buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
    )
