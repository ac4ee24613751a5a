"""Fair choice between keys: whose work goes next when several tenants wait for the same limit.

The key with the least running work per weight goes first (max-min fairness: nobody gets more while another who waits has
less). Among equals the one goes that was served longest ago, those that never were before all; so keys take turns also
when there is only one slot at a time and nothing runs in between. A key that floods waits for itself alone.
"""

from __future__ import annotations

from collections.abc import Mapping


def choose(
    waiting: Mapping[str, int],
    running: Mapping[str, int],
    *,
    limits: Mapping[str, int] | None = None,
    weights: Mapping[str, float] | None = None,
    last_served: Mapping[str, float] | None = None,
) -> str | None:
    """Return the key whose work goes next, or None when none may.

    Args:
        waiting: work that waits, by key.
        running: work that runs, by key.
        limits: the most that may run, by key; a key without one has no limit.
        weights: a key's share in proportion; default 1.
        last_served: when work of a key was started last, by key: times or running numbers, the later the larger.
    """
    limits, weights, last_served = limits or {}, weights or {}, last_served or {}

    def may_go(key: str) -> bool:
        return waiting[key] > 0 and (key not in limits or running.get(key, 0) < limits[key])

    def rank(key: str) -> tuple[float, float, str]:
        return running.get(key, 0) / weights.get(key, 1.0), last_served.get(key, float("-inf")), key

    return min(filter(may_go, waiting), key=rank, default=None)


def plan(
    waiting: Mapping[str, int],
    running: Mapping[str, int],
    slots: int,
    *,
    limits: Mapping[str, int] | None = None,
    weights: Mapping[str, float] | None = None,
    last_served: Mapping[str, float] | None = None,
) -> list[str]:
    """Return the keys of the next ``slots`` pieces of work, in order (fewer when fewer may run); see :func:`choose`."""
    waiting, running, chosen = dict(waiting), dict(running), []
    for _ in range(slots):
        key = choose(waiting, running, limits=limits, weights=weights, last_served=last_served)
        if key is None:
            break
        waiting[key] -= 1
        running[key] = running.get(key, 0) + 1
        chosen.append(key)
    return chosen
