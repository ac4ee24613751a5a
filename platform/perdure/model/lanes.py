"""Lanes: where a job waits within its bulkhead, so that what holds some back is in nobody else's way.

Jobs that nothing holds back wait in one lane. Those behind a circuit breaker, those of each key of a limit, and replicas
have lanes of their own: a worker passes a lane by that may not move now, however long it is, without reading it.
"""

from __future__ import annotations

#: The lane of jobs that nothing holds back. It sorts before all others.
PLAIN = "-"
#: The lane of replicas: each of them passes by the workers that have another of its job.
REPLICAS = "replica"
#: Longest name of a lane, in characters.
LONGEST = 600


def lane_of(task: str, *, limit_key: str | None, breaker: str | None, is_replica: bool = False) -> str:
    """Return the lane of a job.

    Args:
        task: Its task's name.
        limit_key: The key of a limit for which it counts; None when no limit bounds it.
        breaker: The circuit breaker that guards it, if any.
        is_replica: Whether it is a replica of another job.
    """
    if is_replica:
        return REPLICAS
    if limit_key is not None:
        return f"limit:{task}\x1f{limit_key}"[:LONGEST]
    return PLAIN if breaker is None else f"breaker:{breaker}"[:LONGEST]
