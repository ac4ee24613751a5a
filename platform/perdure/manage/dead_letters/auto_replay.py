"""Auto-replay: letters that died of a circuit breaker are replayed when it has closed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from perdure.errors import IdempotencyConflict
from perdure.manage.dead_letters.bulk_replay import ReplayReport, ReplayRequest
from perdure.model.dead_letter import OPEN, LetterFilter
from perdure.model.rate import per_second
from perdure.model.text.storable import MAX_NAME

if TYPE_CHECKING:
    from perdure.ledger import Ledger
    from perdure.manage.dead_letters.dead_letters import DeadLetters
    from perdure.model.task_spec import TaskSpec
    from perdure.submit.handle import JobHandle

BY, SOURCE = "auto-replay", "supervisor"
#: The tag of these replays, with the task as its value.
TAG = "auto_replay"
#: Seconds between the starts of two replays of one task, at least.
SLOT = 5.0


def replay_what_can_run(
    tasks: Iterable[TaskSpec], ledger: Ledger, dead_letters: Callable[[], DeadLetters]
) -> list[JobHandle[ReplayReport]]:
    """Start a replay for each task whose breaker is not open and that has letters which died of it; return the new ones.

    There is one at a time for each task. While the breaker is half-open, the first letter is a trial call.
    """
    started = []
    for task in tasks:
        policy = task.auto_replay
        if policy is None or task.breaker is None:
            continue
        newest = ledger.letters.newest_replayable(task.name, task.breaker, policy.max_replays)
        if newest is None or dead_letters().replayer.breaker_is_open(task.breaker) or _is_at_work(ledger, task.name):
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
        slot = int(ledger.clock() // SLOT)
        with contextlib.suppress(IdempotencyConflict):  # one was started a moment ago, of letters up to another one
            job = dead_letters().start_replay(request, f"{task.name}:{slot}", tags={TAG: task.name})
            started += [] if job.deduplicated else [job]
    return started


def _is_at_work(ledger: Ledger, task: str) -> bool:
    return ledger.letters.replay_at_work(TAG, task[:MAX_NAME])
