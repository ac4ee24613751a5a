"""``app.dead_letters``: find, understand, replay and resolve what was given up.

The one service layer: the Python API, the command line and the web pages call these methods.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from perdure import letter_transfer
from perdure.bulk_replay import ReplayReport, ReplayRequest, register_bulk_replay
from perdure.errors import InvalidArguments, did_you_mean
from perdure.handle import JobHandle
from perdure.ledger.letter_groups import ORDERS
from perdure.ledger.letter_records import (
    DISCARDED,
    OPEN,
    REPLAYED,
    Actor,
    AuditEntry,
    DeadLetterDetail,
    DeadLetterGroup,
    LineageEntry,
)
from perdure.ledger.records import DeadLetterRecord
from perdure.letter_filters import letter_filter
from perdure.letter_notices import DeadLetterNotice, NoticeKind, Notices
from perdure.letter_transfer import ImportReport
from perdure.rates import per_second
from perdure.replay_plan import ReplayPlan, fixed, plan
from perdure.replayer import Replayer

if TYPE_CHECKING:
    from perdure.app import Perdure

Hook = TypeVar("Hook", bound=Callable[[DeadLetterNotice], object])

#: Entries of the audit trail that :meth:`DeadLetters.show` returns.
SHOWN_ENTRIES = 50
#: Letters that one transaction discards or deletes: a fraction of a second, so that nobody waits long for it.
BATCH = 200


class DeadLetters:
    """The dead letters of an application's ledger.

    Whatever changes something takes ``by=`` (who does it) and ``source=`` (from where; this process if not given), which
    go to the audit trail.
    """

    def __init__(self, app: Perdure) -> None:
        self._app = app
        #: Makes new jobs of letters; for the parts of perdure that replay many.
        self.replayer = Replayer(app)
        self.notices = Notices()
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
            LetterUnopened: The letter's arguments are sealed or offloaded and cannot be opened here; nothing was written.
        """
        letter = self.get(letter_id)
        if letter.replayed_as is None or force:
            item = self.replayer.prepare(
                letter, args=args, kwargs=kwargs, bulkhead=bulkhead, from_checkpoint=from_checkpoint
            )
            if not force:
                self.replayer.refuse_if_open(letter)
            [result], unticketed = self.replayer.write([item], Actor.of(by, source), force=force)
            job_id = result.submitted.id
            return JobHandle(self._app, job_id, deduplicated=not result.is_new, ticketed=job_id not in unticketed)
        return JobHandle(self._app, letter.replayed_as, deduplicated=True)

    @overload
    def replay_many(self, *, dry_run: Literal[True], **how: Any) -> ReplayPlan: ...
    @overload
    def replay_many(self, *, dry_run: Literal[False] = False, **how: Any) -> JobHandle[ReplayReport]: ...
    def replay_many(
        self,
        *,
        rate: str | float | None = None,
        dry_run: bool = False,
        canary: int = 0,
        max_failure_rate: float | None = None,
        to_bulkhead: str | None = None,
        from_checkpoint: bool = False,
        force: bool = False,
        by: str = "python",
        source: str | None = None,
        **filters: Any,
    ) -> JobHandle[ReplayReport] | ReplayPlan:
        """Replay all letters that match filters, the oldest first, by a durable job that workers of ``background`` run.

        It replays what is open now, not what comes in later. Killed half-way it goes on, and replays none twice. Its
        result is a :class:`~perdure.bulk_replay.ReplayReport`.

        Args:
            rate: Letters a second, or a text such as ``50/s`` or ``10/m``; None for no bound.
            dry_run: Write nothing and return a :class:`~perdure.replay_plan.ReplayPlan` that says what would happen.
            canary: Replay so many first, and the rest only when these have succeeded; 0 for none.
            max_failure_rate: The share of replays that may fail, 0 to 1: of the canaries (none by default), and of the last
                thousand while it runs (any by default). It halts when more do.
            to_bulkhead: Where to run them; the letters' bulkheads by default.
            from_checkpoint: Begin each job at the checkpoint that it had reached.
            force: Also replay letters that were replayed or discarded, and those whose circuit breaker is open.
            by: Who replays them, for the record.
            source: From where.
            filters: Those of :meth:`list`; open letters unless ``status=`` or ``force=`` says otherwise.

        Raises:
            InvalidArguments: A filter, the rate or a limit is not allowed.
            UnknownBulkhead: There is no such bulkhead.
        """
        if canary < 0 or (max_failure_rate is not None and not 0 <= max_failure_rate <= 1):
            raise InvalidArguments(
                f"canary={canary!r} must not be negative, max_failure_rate={max_failure_rate!r} be 0 to 1"
            )
        actor, letters = Actor.of(by, source), self._app.ledger.letters
        request = ReplayRequest(
            fixed(letter_filter(**filters), letters.newest_id()),
            actor.who,
            actor.source,
            rate=per_second(rate),
            canary=canary,
            max_failure_rate=max_failure_rate,
            to_bulkhead=None if to_bulkhead is None else self._app.bulkheads.checked(to_bulkhead),
            from_checkpoint=from_checkpoint,
            force=force,
        )
        return plan(self._app, request) if dry_run else self.start_replay(request)

    def start_replay(
        self, request: ReplayRequest, idempotency_key: str | None = None, tags: dict[str, str] | None = None
    ) -> JobHandle[ReplayReport]:
        """Submit a bulk replay and return its job; for the parts of perdure that make requests of their own."""
        task = register_bulk_replay(self._app)
        job: JobHandle[ReplayReport] = task.options(idempotency_key=idempotency_key, tags=tags or {}).submit(request)
        if not job.deduplicated:
            how = {
                name: value for name, value in asdict(request).items() if value and name not in ("by", "source", "which")
            }
            entry = {"job_id": job.id, "which": request.which.given(), **how}
            self._app.ledger.letters.record(Actor(request.by, request.source), "replay_many", [entry])
        return job

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

    def discard_many(
        self,
        reason: str,
        /,
        by: str = "python",
        *,
        source: str | None = None,
        on_batch: Callable[[int], object] = lambda _count: None,
        **filters: Any,
    ) -> int:
        """Mark all open letters that match filters as not to be replayed, in batches, and return how many.

        Args:
            reason: Why.
            by: Who discards them.
            source: From where.
            on_batch: Called after each batch with the number of letters in it.
            filters: Those of :meth:`list`; with another ``status=`` letters in that one.

        Raises:
            InvalidArguments: A filter is not allowed.
        """
        letters, actor = self._app.ledger.letters, Actor.of(by, source)
        which = fixed(letter_filter(**{"status": OPEN, **filters}), letters.newest_id())
        total, after = 0, None
        while page := letters.page(which, limit=BATCH, after=after, oldest_first=True):
            after = page[-1].id
            changed = len(letters.discard([letter.id for letter in page], reason, actor))
            total += changed
            on_batch(changed)
        return total

    # -- purge, export, import ---------------------------------------------------------------------------------------

    def purge(
        self,
        *,
        by: str = "python",
        source: str | None = None,
        everything: bool = False,
        on_batch: Callable[[int], object] = lambda _count: None,
        **filters: Any,
    ) -> int:
        """Delete letters for good, in batches, and return how many. The audit trail stays.

        Args:
            by: Who deletes them.
            source: From where.
            everything: Needed when no filter is given, so that nobody empties the ledger by a slip.
            on_batch: Called after each batch with the number of letters in it.
            filters: Those of :meth:`list`; ``status="open"`` must be named: without a status, open letters stay.

        Raises:
            InvalidArguments: No filter was given, or one is not allowed; nothing was deleted.
        """
        which = letter_filter(**filters)
        if not which.given() and not everything:
            raise InvalidArguments("purge() without a filter deletes every letter that was dealt with. Say everything=True")
        letters, actor = self._app.ledger.letters, Actor.of(by, source)
        bounded, total = fixed(which, letters.newest_id()), 0
        for status in [which.status] if which.status else [REPLAYED, DISCARDED]:
            while count := letters.purge(replace(bounded, status=status), BATCH):
                total += count
                on_batch(count)
        letters.record(actor, "purge", [{"count": total, "which": which.given()}])
        return total

    def export(self, *, by: str = "python", source: str | None = None, **filters: Any) -> Iterator[str]:
        """Yield each letter that matches filters as a line of JSON, with its attempts and checkpoints; the oldest first.

        Raises:
            InvalidArguments: A filter is not allowed.
        """
        which, letters = letter_filter(**filters), self._app.ledger.letters
        return letter_transfer.export(letters, fixed(which, letters.newest_id()), Actor.of(by, source))

    def import_lines(self, lines: Iterable[str], *, by: str = "python", source: str | None = None) -> ImportReport:
        """Write the letters of an export, of this environment or another one; letters that are there stay as they are.

        Raises:
            InvalidArguments: A line is no exported letter; the message names its number.
        """
        return letter_transfer.import_(self._app.ledger.letters, lines, Actor.of(by, source))

    # -- notices -----------------------------------------------------------------------------------------------------

    def subscribe(self, subscriber: Hook) -> Hook:
        """Call a function with each :class:`~perdure.letter_notices.DeadLetterNotice`; usable as a decorator.

        A notice is told of once, in the process that found it out: a supervisor or a worker.
        """
        self.notices.subscribe(subscriber)
        return subscriber

    def on_new_group(self, hook: Hook) -> Hook:
        """Call a function with the notice of each fault that was never seen before."""
        self.notices.subscribe(hook, NoticeKind.NEW_GROUP)
        return hook

    def on_growth(self, hook: Hook) -> Hook:
        """Call a function with the notice of each fault whose letters have doubled, from ten on."""
        self.notices.subscribe(hook, NoticeKind.GROWTH)
        return hook

    def on_boomerang(self, hook: Hook) -> Hook:
        """Call a function with the notice of each fault of which a replay died again."""
        self.notices.subscribe(hook, NoticeKind.BOOMERANG)
        return hook

    def _breaker_is_open(self, name: str) -> bool:
        return self._app.breakers[name].state == "open"
