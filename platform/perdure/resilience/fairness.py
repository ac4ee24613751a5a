"""Fair choice between keys: whose work goes next when several tenants wait for the same limit."""

from __future__ import annotations

from collections.abc import Mapping


def choose(
    waiting: Mapping[str, int],
    running: Mapping[str, int],
    *,
    limits: Mapping[str, int] | None = None,
    weights: Mapping[str, float] | None = None,
    after: str | None = None,
) -> str | None:
    """Return the key whose work goes next, or None when none may.

    The key with the least running work per weight goes first (max-min fairness: nobody gets more while another who
    waits has less); among equals it goes round from the key after ``after``. A key that floods waits for itself alone.

    Parameters:
        waiting: work that waits, by key.
        running: work that runs, by key.
        limits: the most that may run, by key; a key without one has no limit.
        weights: a key's share in proportion; default 1.
        after: the key that was chosen last.
    """
    limits, weights = limits or {}, weights or {}
    able = [key for key, count in waiting.items() if count > 0 and (key not in limits or running.get(key, 0) < limits[key])]
    if not able:
        return None
    return min(able, key=lambda key: (running.get(key, 0) / weights.get(key, 1.0), after is not None and key <= after, key))


def plan(
    waiting: Mapping[str, int],
    running: Mapping[str, int],
    slots: int,
    *,
    limits: Mapping[str, int] | None = None,
    weights: Mapping[str, float] | None = None,
    after: str | None = None,
) -> list[str]:
    """Return the keys of the next ``slots`` pieces of work, in order (fewer when fewer may run)."""
    waiting, running, chosen = dict(waiting), dict(running), []
    for _ in range(slots):
        key = choose(waiting, running, limits=limits, weights=weights, after=after)
        if key is None:
            break
        waiting[key] -= 1
        running[key] = running.get(key, 0) + 1
        chosen.append(key)
        after = key
    return chosen
