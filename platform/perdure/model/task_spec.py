"""What is declared of a task, and what it may be."""

from __future__ import annotations

from dataclasses import dataclass, field

from perdure.errors import InvalidJobDefinition
from perdure.model.auto_replay import AutoReplay
from perdure.model.checkpoint_schema import StatePolicy
from perdure.model.retry_policy import RetryPolicy
from perdure.model.signature import Signature

#: Longest name of a task, in characters.
MAX_NAME = 255


@dataclass(kw_only=True, eq=False)
class TaskSpec:
    """A task as it was declared.

    Args:
        name: The task's name, unique in the application.
        bulkhead: Where its jobs run.
        retry: What happens when an attempt fails.
        signature: What its jobs are called with.
        timeout: Seconds that one attempt may run; None for no bound.
        breaker: The circuit breaker that guards its jobs.
        limit: Jobs that may run at once in all workers, or of each key of ``limit_by``; None for no bound.
        limit_by: The argument or tag that is the limit's key, such as ``tenant``.
        rate: Jobs that may start per second in all workers; None for no bound.
        replicas: Workers that run each job; the result is that of the majority.
        auto_replay: What happens to its dead letters when that breaker has closed again; None: they wait for a person.
        priority: 0 (first) to 9 (last) within the bulkhead.
        state: The shape of its checkpoints.

    Raises:
        InvalidJobDefinition: An option cannot be used.
    """

    name: str
    bulkhead: str
    retry: RetryPolicy
    signature: Signature = field(repr=False)
    timeout: float | None = None
    breaker: str | None = None
    limit: int | None = None
    limit_by: str | None = None
    rate: float | None = None
    replicas: int = 1
    auto_replay: AutoReplay | None = None
    priority: int = 5
    state: StatePolicy = field(default_factory=StatePolicy)

    def __post_init__(self) -> None:
        name = self.name
        if not 0 < len(name) <= MAX_NAME:
            raise InvalidJobDefinition(f"name={name!r:.80}... must be a text of 1 to {MAX_NAME} characters")
        if self.timeout is not None and not self.timeout > 0:
            raise InvalidJobDefinition(f"{name}: timeout={self.timeout!r} must be a positive number of seconds")
        if self.limit is not None and self.limit < 1:
            raise InvalidJobDefinition(f"{name}: limit={self.limit!r} must be 1 or more")
        if self.limit_by is not None and self.limit is None:
            raise InvalidJobDefinition(f"{name}: limit_by={self.limit_by!r} needs a limit= for each key")
        if self.rate is not None and not self.rate > 0:
            raise InvalidJobDefinition(f"{name}: rate={self.rate!r} must be above 0 jobs per second")
        if self.replicas < 1 or self.replicas == 2:
            raise InvalidJobDefinition(
                f"{name}: replicas={self.replicas!r} must be 1, or 3 or more: of two there is no majority"
            )
        if self.priority not in range(10):
            raise InvalidJobDefinition(f"{name}: priority={self.priority!r} must be from 0 (first) to 9 (last)")
