"""Auto-replay: letters that died of a circuit breaker are replayed when it has closed."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure.errors import IdempotencyConflict, InvalidJobDefinition
from perdure.manage.dead_letters.bulk_replay import ReplayReport, ReplayRequest
from perdure.model.dead_letter import OPEN, LetterFilter
from perdure.model.rate import per_second
from perdure.model.text.storable import MAX_NAME

if TYPE_CHECKING:
    from perdure.app import Perdure
    from perdure.submit.handle import JobHandle

BY, SOURCE = "auto-replay", "supervisor"
#: The tag of these replays, with the task as its value.
TAG = "auto_replay"
#: Seconds between the starts of two replays of one task, at least.
SLOT = 5.0


@dataclass(frozen=True, slots=True)
class AutoReplay:
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


def replay_what_can_run(app: Perdure) -> list[JobHandle[ReplayReport]]:
    """Start a replay for each task whose breaker is not open and that has letters which died of it; return the new ones.

    There is one at a time for each task. While the breaker is half-open, the first letter is a trial call.
    """
    started = []
    for task in list(app.tasks.values()):
        policy = task.auto_replay
        if policy is None or task.breaker is None:
            continue
        newest = app.ledger.letters.newest_replayable(task.name, task.breaker, policy.max_replays)
        if newest is None or app.dead_letters.breaker_is_open(task.breaker) or _is_at_work(app, task.name):
            continue
        request = ReplayRequest(
            LetterFilter(task=task.name, breaker=task.breaker, status=OPEN, upto=newest),
            BY,
            SOURCE,
            rate=per_second(policy.rate),
            from_checkpoint=policy.from_checkpoint,
            slow_start=True,
            halt_when_open=True,
            max_generation=policy.max_replays,
        )
        # Supervisors that look at the same time start one replay.
        slot = int(app.ledger.clock() // SLOT)
        with contextlib.suppress(IdempotencyConflict):  # one was started a moment ago, of letters up to another one
            job = app.dead_letters.start_replay(request, f"{task.name}:{slot}", tags={TAG: task.name})
            started += [] if job.deduplicated else [job]
    return started


def _is_at_work(app: Perdure, task: str) -> bool:
    newest = app.jobs.list(tag=(TAG, task[:MAX_NAME]), limit=1)
    return bool(newest) and not newest[0].state.is_final
