"""One replay: what the new job is, how it differs from the dead one, and whether its breaker lets it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from perdure import codec
from perdure.errors import InvalidArguments, ReplayRefused, UnknownTask
from perdure.ids import new_id
from perdure.ledger.records import DeadLetterRecord, NewJob

if TYPE_CHECKING:
    from perdure.app import Perdure


class Breakers:
    """Says whether the circuit breaker of a letter's job is open.

    Args:
        app: The application.
    """

    def __init__(self, app: Perdure) -> None:
        self._app = app

    def of(self, letter: DeadLetterRecord) -> str | None:
        """Return the name of the breaker that guards a letter's job: the one it died of, or its task's."""
        task = self._app.tasks.get(letter.task)
        return letter.breaker or (task.breaker if task else None)

    def state(self, name: str) -> str:
        """Return a breaker's state; ``closed`` when the application has no breakers."""
        known: Any = getattr(self._app, "breakers", None)
        return "closed" if known is None else str(known[name].state)

    def is_open(self, name: str) -> bool:
        """Return whether a breaker lets nothing through."""
        return self.state(name) in ("open", "forced_open")

    def check(self, letter: DeadLetterRecord) -> None:
        """Let a letter be replayed.

        Raises:
            ReplayRefused: Its breaker is open.
        """
        name = self.of(letter)
        if name is not None and self.is_open(name):
            raise ReplayRefused(
                f"dead letter {letter.id}: breaker {name!r} is open, the replay would fail as before. "
                "Wait until it closes, or use force"
            )


def replacement(
    app: Perdure,
    letter: DeadLetterRecord,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    bulkhead: str | None,
) -> tuple[NewJob, dict[str, Any] | None]:
    """Return the job that replays a letter, and what its arguments differ in.

    Raises:
        UnknownTask: This application does not have the letter's task.
        UnknownBulkhead: There is no such bulkhead.
        InvalidArguments: The arguments do not fit the task's signature, or the letter holds no job.
    """
    if letter.job_id is None:
        raise InvalidArguments(f"dead letter {letter.id} holds a broker message, not a job; it cannot be replayed")
    task = app.tasks.get(letter.task)
    if task is None:
        raise UnknownTask(letter.task, app.tasks)
    payload = task.signature.encode(
        codec.untagged(letter.args) if args is None else args,
        codec.untagged(letter.kwargs) if kwargs is None else dict(kwargs),
    )
    new = NewJob(
        id=new_id(),
        task=letter.task,
        bulkhead=app.bulkheads.checked(bulkhead) if bulkhead else letter.bulkhead or task.bulkhead,
        args=payload.args,
        kwargs=payload.kwargs,
        payload_digest=payload.digest,
        priority=task.priority if letter.priority is None else letter.priority,
        timeout=letter.timeout,
        tags=letter.tags or None,
        replay_of=letter.job_id,
    )
    return new, _difference(letter, new)


def _difference(letter: DeadLetterRecord, new: NewJob) -> dict[str, Any] | None:
    changes: dict[str, Any] = {}
    for name, before, text in (("args", letter.args, new.args), ("kwargs", letter.kwargs, new.kwargs)):
        after = msgspec.json.decode(text)
        if after != before:
            changes[name] = {"before": before, "after": after}
    return changes or None
