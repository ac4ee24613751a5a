"""``app.dead_letters``: what was given up, and how it is run again."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from perdure import codec
from perdure.clock import to_epoch
from perdure.errors import InvalidArguments, UnknownTask
from perdure.events import JobEvent
from perdure.handle import JobHandle
from perdure.ids import new_id
from perdure.ledger.dead_letters import DeadLetterGroup
from perdure.ledger.records import DeadLetterRecord, NewJob, Ticketed
from perdure.signature import Payload
from perdure.states import JobState
from perdure.stores.errors import StoreError
from perdure.vault import is_stored

if TYPE_CHECKING:
    from perdure.app import Perdure


class DeadLetters:
    """The dead letters of an application's ledger."""

    def __init__(self, app: Perdure) -> None:
        self._app = app

    def get(self, letter_id: str) -> DeadLetterRecord:
        """Return a dead letter.

        Raises:
            DeadLetterNotFound: The ledger has none of that id.
        """
        return self._app.ledger.dead_letter(letter_id)

    def list(
        self,
        *,
        task: str | None = None,
        error: str | None = None,
        fingerprint: str | None = None,
        status: str | None = None,
        since: datetime | float | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> builtins.list[DeadLetterRecord]:
        """Return dead letters, the newest first.

        Args:
            task: Only those of this task.
            error: Only those of this error type.
            fingerprint: Only those of this fault.
            status: Only ``open``, ``replayed`` or ``discarded`` ones.
            since: Only those since this moment.
            limit: The most to return.
            after: The id of the last one of the page before.
        """
        filters = {"task": task, "error": error, "fingerprint": fingerprint, "status": status}
        return self._app.ledger.dead_letters(**filters, since=to_epoch(since), limit=limit, after=after)

    def groups(self, limit: int = 100) -> builtins.list[DeadLetterGroup]:
        """Return the faults that letters died of, the most frequent first."""
        return [self._opened(group) for group in self._app.ledger.dead_letter_groups(limit)]

    def replay(
        self,
        letter_id: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        by: str = "python",
        force: bool = False,
    ) -> JobHandle[Any]:
        """Run a dead letter again as a new job and return its handle.

        Replaying the same letter twice returns the same job.

        Args:
            letter_id: The dead letter.
            args: Positional arguments in place of the letter's; None keeps them.
            kwargs: Keyword arguments in place of the letter's; None keeps them.
            by: Who replays it, for the record.
            force: Make a new job even if the letter was replayed before.

        Raises:
            DeadLetterNotFound: The ledger has none of that id.
            UnknownTask: This application does not have the letter's task.
            InvalidArguments: The arguments do not fit the task's signature; nothing was written.
            StoreError: The letter's arguments are sealed or offloaded and cannot be opened here; nothing was written.
        """
        letter = self.get(letter_id)
        new = self._replacement(letter, args, kwargs)
        submitted, is_new = self._app.ledger.replay(letter_id, new, by, force=force)
        ticketed = True
        if is_new:
            ticket = Ticketed(new.id, new.task, new.bulkhead, new.priority, new.args, new.kwargs, None, new.replay_of)
            ticketed = not self._app.submitter.send_tickets([ticket])
            reason = f"replay of dead letter {letter_id} by {by}"
            self._app.events.emit(JobEvent(new.id, new.task, new.bulkhead, None, None, JobState.QUEUED, reason=reason))
        return JobHandle(self._app, submitted.id, deduplicated=not is_new, ticketed=ticketed)

    def discard(self, letter_id: str, reason: str, by: str = "python") -> DeadLetterRecord:
        """Mark a letter as not to be replayed and return it.

        Raises:
            DeadLetterNotFound: The ledger has none of that id.
        """
        return self._app.ledger.discard_dead_letter(letter_id, reason, by)

    def _opened(self, group: DeadLetterGroup) -> DeadLetterGroup:
        """Return a group whose error can be read, when it is sealed and there is a key."""
        if not is_stored(group.error):
            return group
        newest = self._app.ledger.dead_letters(fingerprint=group.fingerprint, limit=1)
        return replace(group, error=newest[0].error if newest else None)

    def _replacement(
        self, letter: DeadLetterRecord, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None
    ) -> NewJob:
        task = self._app.tasks.get(letter.task)
        if task is None:
            raise UnknownTask(letter.task, self._app.tasks)
        if letter.job_id is None:
            raise InvalidArguments(f"dead letter {letter.id} holds a broker message, not a job; it cannot be replayed")
        for column, given in (("args", args), ("kwargs", kwargs)):
            if given is None and column in letter.unopened:
                raise StoreError(f"dead letter {letter.id} cannot be replayed: {letter.unopened[column]}")
        payload = task.signature.encode(
            codec.untagged(letter.args) if args is None else args,
            codec.untagged(letter.kwargs) if kwargs is None else dict(kwargs),
        )
        new = _new_job(letter, payload, letter.bulkhead or task.bulkhead, task.priority)
        return self._app.ledger.vault.new_job(new)


def _new_job(letter: DeadLetterRecord, payload: Payload, bulkhead: str, priority: int) -> NewJob:
    return NewJob(
        id=new_id(),
        task=letter.task,
        bulkhead=bulkhead,
        args=payload.args,
        kwargs=payload.kwargs,
        payload_digest=payload.digest,
        priority=priority,
        replay_of=letter.job_id,
    )
