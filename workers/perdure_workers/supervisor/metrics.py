"""What a worker's or supervisor's process counts, in Prometheus' default registry."""

from __future__ import annotations

from prometheus_client import Histogram

#: Runs of each duty. ``outcome`` is ``done``, or ``failed`` when it raised.
DUTY_SECONDS = Histogram(
    "perdure_duty_seconds",
    "Seconds that a run of a supervisor's duty took.",
    ["duty", "outcome"],
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
)
