"""Faults that act inside of the platform's own code: ``perdure.faults``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from perdure_workers.chaos.faults.fault import Bench

#: Who has switched them on, for whoever sees them.
_OWNER = "perdure chaos"


@contextmanager
def injected(bench: Bench, kind: str, target: str, **options: Any) -> Iterator[str]:
    """Inject a fault into all processes; the options are those of :meth:`~perdure.faults.faults.Faults.add`."""
    faults = bench.platform.app.faults
    seed = bench.rng.randrange(2**32)
    fault = faults.add(kind, target, seconds=bench.lasts, seed=seed, owner=_OWNER, **options)
    try:
        yield f"{fault.id}, probability {fault.probability:g}"
    finally:
        faults.end(fault)
