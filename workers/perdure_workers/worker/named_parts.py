"""What an application's tasks and settings name of what few have: loaded before the fork, in memory that children share."""

from __future__ import annotations

from perdure import Perdure


def load_named(app: Perdure) -> None:
    """Load breakers, limits, timeouts, failover groups, votes and auto-replay where a task or a setting names them.

    What nobody names is loaded at first use. Services and pools that settings name need nothing here: their modules were
    loaded with the settings.
    """
    tasks, bulkheads, resilience = app.tasks.values(), app.settings.bulkheads.values(), app.settings.resilience
    if any(task.breaker for task in tasks):
        from perdure.resilience.breaker import breaker  # noqa: F401 - each is made, and its name checked, at first use
    if any(task.limit or task.rate for task in tasks) or any(each.limit or each.rate for each in bulkheads):
        _ = app.limits
    if any(task.replicas > 1 for task in tasks):
        from perdure_workers.worker import replicas  # noqa: F401 - a child votes with it
    if any(task.auto_replay for task in tasks):
        _ = app.dead_letters
    if resilience.timeouts:
        from perdure.admission import timeouts  # noqa: F401 - made at first use
    if resilience.failover:
        _ = app.failover
