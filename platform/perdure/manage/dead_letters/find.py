"""Finding and understanding dead letters."""

from __future__ import annotations

import builtins
from datetime import datetime
from typing import TYPE_CHECKING, Any

from perdure.errors import InvalidArguments, did_you_mean
from perdure.ledger.dead_letters.groups import ORDERS
from perdure.ledger.jobs import lookup
from perdure.manage.dead_letters.filters import letter_filter
from perdure.model.dead_letter import AuditEntry, DeadLetterDetail, DeadLetterGroup, LineageEntry
from perdure.model.records import DeadLetterRecord

if TYPE_CHECKING:
    from perdure.ledger import Ledger

#: Entries of the audit trail that :meth:`LetterFinding.show` returns.
SHOWN_ENTRIES = 50
#: Lines of its job that it returns.
LAST_LINES = 20


class LetterFinding:
    """What ``app.dead_letters`` can find."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def get(self, letter_id: str) -> DeadLetterRecord:
        """Return a dead letter.

        Raises:
            DeadLetterNotFound: The ledger has none of that id.
        """
        return self._ledger.letters.get(letter_id)

    def find(self, text: str) -> DeadLetterRecord:
        """Return the dead letter that a person means: by its id, or by how only its id begins or ends.

        Raises:
            DeadLetterNotFound: The ledger has no such letter.
            AmbiguousId: It has several.
        """
        return self.get(self._ledger.direct(lambda c: lookup.find_letter_id(c, text)))

    def show(self, letter_id: str) -> DeadLetterDetail:
        """Return everything about a dead letter: attempts, checkpoints, lineage, its group, what was done with it,
        and the last lines that its job has said.

        Raises:
            DeadLetterNotFound: The ledger has none of that id.
        """
        letter, ledger = self.get(letter_id), self._ledger
        groups = ledger.letters.groups(fingerprints=[letter.fingerprint])
        return DeadLetterDetail(
            letter,
            attempts=ledger.jobs.attempts(letter.job_id) if letter.job_id else [],
            checkpoints=ledger.letters.checkpoints(letter.job_id) if letter.job_id else [],
            lineage=ledger.letters.line(letter.job_id) if letter.job_id else [],
            group=groups[0] if groups else None,
            audit=self.audit(letter_id=letter_id, limit=SHOWN_ENTRIES),
            log=ledger.jobs.log_of(letter.job_id, letter.task)[-LAST_LINES:] if letter.job_id else [],
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
        since: datetime | float | str | None = None,
        until: datetime | float | str | None = None,
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
        return self._ledger.letters.page(which, limit=limit, after=after)

    def count(self, **filters: Any) -> int:
        """Return how many dead letters match filters, which are those of :meth:`list`."""
        return self._ledger.letters.count(letter_filter(**filters))

    def groups(
        self,
        limit: int = 100,
        *,
        task: str | None = None,
        error: str | None = None,
        since: datetime | float | str | None = None,
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
        return self._ledger.letters.groups(
            task=task, error=error, since=moment, open_only=open_only, order=order, limit=limit
        )

    def lineage(self, job_id: str) -> builtins.list[LineageEntry]:
        """Return the line of replays that a job belongs to, the first job first; see also :meth:`JobHandle.lineage`."""
        return self._ledger.letters.line(job_id)

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
        return self._ledger.letters.audit(letter_id=letter_id, fingerprint=fingerprint, limit=limit, after=after)
