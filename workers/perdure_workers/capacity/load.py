"""What a simulation is asked: the load, the workers, and what goes wrong."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from perdure.model.retry_policy import PRESETS, RetryPolicy
from perdure.resilience.breaker.config import BreakerConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One question.

    Attributes:
        rate: Jobs that are submitted per second, at random moments (a Poisson process).
        children: Worker children that serve them, in all workers together.
        service: Seconds that attempts run: each draws one of these. A single one is their mean, and they are exponentially
            distributed unless they are ``constant``.
        constant: Whether each attempt takes the same time.
        failures: Share of the attempts that fail, from 0 to 1.
        retry: What happens then.
        backlog: Jobs that wait at the beginning.
        duration: Seconds for which jobs are submitted; those that are left then are worked off.
        outage: When what the jobs call is away, from one second to another: every attempt that begins meanwhile fails.
        breaker: The circuit breaker that guards them, if any.
        seed: Of all that is drawn.
    """

    rate: float
    children: int
    service: tuple[float, ...]
    constant: bool = False
    failures: float = 0.0
    retry: RetryPolicy = field(default_factory=lambda: PRESETS["standard"])
    backlog: int = 0
    duration: float = 3600.0
    outage: tuple[float, float] | None = None
    breaker: BreakerConfig | None = None
    seed: int = 0

    def takes(self, rng: random.Random) -> float:
        """Return the seconds that an attempt takes."""
        if len(self.service) > 1:
            return rng.choice(self.service)
        return self.service[0] if self.constant else rng.expovariate(1 / self.service[0])

    def is_out(self, now: float) -> bool:
        """Return whether what the jobs call is away at a moment."""
        return self.outage is not None and self.outage[0] <= now < self.outage[1]

    @property
    def offered(self) -> float:
        """The children that would be busy on average if none failed: the offered load, in erlangs."""
        return self.rate * sum(self.service) / len(self.service)
