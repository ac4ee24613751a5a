"""The network between the platform and one of its servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import msgspec

from perdure_workers.chaos.faults.fault import Bench
from perdure_workers.chaos.proxy import FINE, Conditions


@contextmanager
def network(bench: Bench, to: Literal["redis", "postgres"], **conditions: Any) -> Iterator[str]:
    """Impose conditions; see :class:`~perdure_workers.chaos.proxy.Conditions`."""
    proxy = bench.cluster.proxies[to]
    proxy.impose(msgspec.convert(conditions, Conditions))
    try:
        yield f"{to}: {', '.join(f'{name} {_shown(value)}' for name, value in conditions.items())}"
    finally:
        proxy.impose(FINE)


def _shown(value: Any) -> str:
    return " and ".join(value) if isinstance(value, list) else str(value).lower()
