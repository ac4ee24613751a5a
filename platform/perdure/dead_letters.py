"""``app.dead_letters``: find, understand, replay and resolve what was given up.

The one service layer: the Python API, the command line and the web pages call these methods.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from perdure.errors import InvalidArguments, did_you_mean
from perdure.handle import JobHandle
from perdure.ledger.letter_groups import ORDERS
from perdure.ledger.letter_records import Actor, AuditEntry, DeadLetterDetail, DeadLetterGroup, LineageEntry
from perdure.ledger.records import DeadLetterRecord
from perdure.letter_filters import letter_filter
from perdure.replayer import Replayer

if TYPE_CHECKING:
    from perdure.app import Perdure

#: Entries of the audit trail that :meth:`DeadLetters.show` returns.
SHOWN_ENTRIES = 50


class DeadLetters:
    """The dead letters of an application's ledger.

    Whatever changes something takes ``by=`` (who does it) and ``source=`` (from where; this process if not given), which
    go to the audit trail.
    """

    def __init__(self, app: Perdure) -> None:
        self._app = app
        self._replayer = Replayer(app)
        #: Says whether the circuit breaker of a name is open.
        self.breaker_is_open: Callable[[str], bool] = self._breaker_is_open

    # -- find --------------------------------------------------------------------------------------------------------

    def get(self, letter_id: str) -> DeadLetterRecord:
        """Return a dead letter.

        Raises:
            DeadLetterNotFound: The ledger has none of that id.
        """
        return self._app.ledger.dead_letter(letter_id)

    def show(self, letter_id: str) -> DeadLetterDetail:
        """Return everything about a dead letter: attempts, checkpoints, lineage, its group, what was done with it.

        Raises:
            DeadLetterNotFound: The ledger has none of that id.
        """
        letter, ledger = self.get(letter_id), self._app.ledger
        groups = ledger.letters.groups(fingerprints=[letter.fingerprint])
        return DeadLetterDetail(
            letter,
            attempts=ledger.attempts(letter.job_id) if letter.job_id else [],
            checkpoints=ledger.letters.checkpoints(letter.job_id) if letter.job_id else [],
            lineage=ledger.letters.line(letter.job_id) if letter.job_id else [],
            group=groups[0] if groups else None,
            audit=self.audit(letter_id=letter_id, limit=SHOWN_ENTRIES),
        )

    def list(
        self,
        *,
        task: str | None = None,
        bulkhead: str | None = None,
        error: str | None = None,
        text: str | None = None,
        fingerprint: str | None = None,
        reason: str | None = None,
        tag: tuple[str, str] | str | None = None,
        breaker: str | None = None,
        since: datetime | float | None = None,
        until: datetime | float | None = None,
        status: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> builtins.list[DeadLetterRecord]:
        """Return dead letters, the newest first.

        Args:
            task: Only those of this task.
            bulkhead: Only those of this bulkhead.
            error: Only those of this error type.
            text: Only those with all of these words in their task, error or arguments.
            fingerprint: Only those of this fault.
            reason: Only those that were given up for this reason.
            tag: Only those with this tag: ``("tenant", "a")`` or ``"tenant=a"``.
            breaker: Only those that died of this circuit breaker.
            since: Only those since this moment.
            until: Only those before this moment.
            status: Only ``open``, ``replayed`` or ``discarded`` ones.
            limit: The most to return.
            after: The id of the last one of the page before.

        Raises:
            InvalidArguments: A filter's value is not allowed.
        """
        which = letter_filter(
            task=task,
            bulkhead=bulkhead,
            error=error,
            text=text,
            fingerprint=fingerprint,
            reason=reason,
            tag=tag,
            breaker=breaker,
            since=since,
            until=until,
            status=status,
        )
        return self._app.ledger.letters.page(which, limit=limit, after=after)

    def count(self, **filters: Any) -> int:
        """Return how many dead letters match filters, which are those of :meth:`list`."""
        return self._app.ledger.letters.count(letter_filter(**filters))

    def groups(
        self,
        limit: int = 100,
        *,
        task: str | None = None,
        error: str | None = None,
        since: datetime | float | None = None,
        open_only: bool = False,
        order: str = "count",
    ) -> builtins.list[DeadLetterGroup]:
        """Return the faults that letters died of, the most frequent first.

        Args:
            limit: The most to return.
            task: Only faults that were seen last in this task.
            error: Only those of this error type.
            since: Only those that were seen since this moment.
            open_only: Only those with open letters.
            order: ``count``, ``last_seen`` or ``first_seen``; the largest or latest first.

        Raises:
            InvalidArguments: There is no such order.
        """
        if order not in ORDERS:
            raise InvalidArguments(
                f"order={order!r} is not known.{did_you_mean(order, ORDERS)} Allowed: {', '.join(ORDERS)}"
            )
        moment = letter_filter(since=since).since
        return self._app.ledger.letters.groups(
            task=task, error=error, since=moment, open_only=open_only, order=order, limit=limit
        )

    def lineage(self, job_id: str) -> builtins.list[LineageEntry]:
        """Return the line of replays that a job belongs to, the first job first; see also :meth:`JobHandle.lineage`."""
        return self._app.ledger.letters.line(job_id)

    def audit(
        self, *, letter_id: str | None = None, fingerprint: str | None = None, limit: int = 100, after: str | None = None
    ) -> builtins.list[AuditEntry]:
        """Return who did what to dead letters, the newest first.

        Args:
            letter_id: Only what was done to this letter.
            fingerprint: Only what was done to letters of this fault, and to it as a whole.
            limit: The most to return.
            after: The id of the last entry of the page before.
        """
        return self._app.ledger.letters.audit(letter_id=letter_id, fingerprint=fingerprint, limit=limit, after=after)

    # -- replay ------------------------------------------------------------------------------------------------------

    def replay(
        self,
        letter_id: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        bulkhead: str | None = None,
        from_checkpoint: bool = False,
        by: str = "python",
        source: str | None = None,
        force: bool = False,
    ) -> JobHandle[Any]:
        """Run a dead letter again as a new job, with its tags, priority and timeout, and return the job's handle.

        Replaying the same letter twice returns the same job.

        Args:
            letter_id: The dead letter.
            args: Positional arguments in place of the letter's; None keeps them.
            kwargs: Keyword arguments in place of the letter's; None keeps them.
            bulkhead: Where to run it; the letter's bulkhead by default.
            from_checkpoint: Begin at the checkpoint that the dead job had reached; otherwise at the start.
            by: Who replays it, for the record.
            source: From where.
            force: Make a new job even if the letter was replayed or discarded, or its circuit breaker is open.

        Raises:
            DeadLetterNotFound: The ledger has none of that id.
            UnknownTask: This application does not have the letter's task.
            UnknownBulkhead: There is no such bulkhead.
            InvalidArguments: The arguments do not fit the task's signature; nothing was written.
            ReplayRefused: The letter was discarded, or its circuit breaker is open; nothing was written.
        """
        letter = self.get(letter_id)
        if letter.replayed_as is None or force:
            item = self._replayer.prepare(
                letter, args=args, kwargs=kwargs, bulkhead=bulkhead, from_checkpoint=from_checkpoint
            )
            if not force:
                self._replayer.refuse_if_open(letter)
            [result], unticketed = self._replayer.write([item], Actor.of(by, source), force=force)
            job_id = result.submitted.id
            return JobHandle(self._app, job_id, deduplicated=not result.is_new, ticketed=job_id not in unticketed)
        return JobHandle(self._app, letter.replayed_as, deduplicated=True)

    # -- resolve -----------------------------------------------------------------------------------------------------

    def discard(self, letter_id: str, reason: str, by: str = "python", *, source: str | None = None) -> DeadLetterRecord:
        """Mark a letter as not to be replayed and return it.

        Raises:
            DeadLetterNotFound: The ledger has none of that id.
        """
        self._app.ledger.letters.discard([letter_id], reason, Actor.of(by, source))
        return self.get(letter_id)

    def note(self, letter_id: str, text: str | None, by: str = "python", *, source: str | None = None) -> DeadLetterRecord:
        """Write a note on a letter, in place of the one it had, and return the letter; None removes the note.

        Raises:
            DeadLetterNotFound: The ledger has none of that id.
        """
        return self._app.ledger.letters.annotate(letter_id, text, Actor.of(by, source))

    def note_group(
        self, fingerprint: str, text: str | None, by: str = "python", *, source: str | None = None
    ) -> DeadLetterGroup | None:
        """Write a note on a fault, such as "known, fixed in 1.4", and return its group; None removes the note.

        Raises:
            DeadLetterNotFound: There are no letters of that fault.
        """
        letters = self._app.ledger.letters
        letters.annotate_group(fingerprint, text, Actor.of(by, source))
        return next(iter(letters.groups(fingerprints=[fingerprint])), None)

    def _breaker_is_open(self, name: str) -> bool:
        breakers = getattr(self._app, "breakers", None)
        return breakers is not None and breakers[name].state == "open"
