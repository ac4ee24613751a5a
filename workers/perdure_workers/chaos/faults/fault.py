"""What a fault is given, and what it is."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from perdure_workers.chaos.cluster import Cluster
from perdure_workers.chaos.platforms import Platform
from perdure_workers.chaos.workload import Workload


@dataclass(slots=True)
class Bench:
    """What faults work on.

    Attributes:
        platform: The platform.
        workload: What is submitted to it.
        rng: Which of several processes or jobs is hit.
        excused: Keys of jobs that a fault has thrown away by hand.
        lasts: Seconds that the fault is to last.
        flood: The seconds, begin and end, in which one bulkhead is flooded; monotonic.
    """

    platform: Platform
    workload: Workload
    rng: random.Random
    excused: set[str] = field(default_factory=set)
    lasts: float = 0.0
    flood: tuple[float, float] | None = None

    @property
    def cluster(self) -> Cluster:
        """The platform, for what can be done to one of the lab's own alone."""
        assert isinstance(self.platform, Cluster)
        return self.platform


#: A context manager that tells on entering what it hits.
FaultFunction = Callable[..., AbstractContextManager[str]]
