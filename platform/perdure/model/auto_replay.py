"""What becomes of the dead letters that died of a circuit breaker, once it has closed."""

from __future__ import annotations

from msgspec import Struct

from perdure.errors import InvalidJobDefinition
from perdure.model.rate import per_second


class AutoReplay(Struct, frozen=True):
    """What happens to a task's dead letters when the circuit breaker that they died of has closed.

    It begins with one letter a second and doubles every second up to the rate; it halts when the breaker opens again, and
    the rest waits for the next closing.

    Args:
        rate: Letters a second at most, or a text such as ``10/s``.
        max_replays: A letter that was replayed so many times, and died again, waits for a person.
        from_checkpoint: Begin each job at the checkpoint that it had reached.

    Raises:
        InvalidJobDefinition: A value is not allowed.
    """

    rate: str | float = "20/s"
    max_replays: int = 3
    from_checkpoint: bool = False

    def __post_init__(self) -> None:
        if self.max_replays < 1:
            raise InvalidJobDefinition(f"AutoReplay(max_replays={self.max_replays!r}) must be 1 or more")
        per_second(self.rate)

    @classmethod
    def of(cls, given: AutoReplay | bool | None, task: str, breaker: str | None) -> AutoReplay | None:
        """Return the policy that a task's ``auto_replay=`` says.

        Args:
            given: What it says.
            task: The task's name.
            breaker: Its circuit breaker, if any.

        Raises:
            InvalidJobDefinition: It is none, or the task has no breaker.
        """
        if given is None or given is False:
            return None
        policy = cls() if given is True else given
        if not isinstance(policy, AutoReplay):
            raise InvalidJobDefinition(f"{task}: auto_replay={given!r} must be True or an AutoReplay(...)")
        if breaker is None:
            raise InvalidJobDefinition(f"{task}: auto_replay= needs breaker=: it replays when that has closed")
        return policy
