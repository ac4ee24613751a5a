"""What protects an application's jobs, by its tasks and settings: loaded before the fork, in memory that children share."""

from __future__ import annotations

from perdure import Perdure


def load_named(app: Perdure) -> None:
    """Load breakers, limits, timeouts and failover groups that a task or a setting names; others are at first use.

    Services and pools that settings name need nothing here: their modules were loaded with the settings.
    """
    tasks, bulkheads, resilience = app.tasks.values(), app.settings.bulkheads.values(), app.settings.resilience
    if any(task.breaker for task in tasks):
        from perdure.resilience.breaker import breaker  # noqa: F401 - each is made, and its name checked, at first use
    if any(task.limit or task.rate for task in tasks) or any(each.limit or each.rate for each in bulkheads):
        _ = app.limits
    if resilience.timeouts:
        from perdure.admission import timeouts  # noqa: F401 - likewise
    if resilience.failover:
        _ = app.failover
