"""``app.dead_letters``: what was given up, to find, understand, run again or put away. One layer for Python, CLI, pages."""

from __future__ import annotations

import builtins
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from perdure import letter_file
from perdure.bulk_replay import BULK_REPLAY, BulkReplay, register_bulk_replay
from perdure.clock import to_epoch
from perdure.errors import DeadLetterNotFound, InvalidArguments, did_you_mean
from perdure.events import JobEvent
from perdure.handle import JobHandle
from perdure.ledger.letter_audit import AuditRecord
from perdure.ledger.letter_filters import LetterFilters
from perdure.ledger.letter_groups import DeadLetterGroup
from perdure.ledger.records import AttemptRecord, DeadLetterRecord, Ticketed
from perdure.letter_notices import LetterNotice, LetterNotices
from perdure.replay_plan import ReplayPlan, make_plan, parse_rate
from perdure.replaying import Breakers, replacement
from perdure.states import DeadReason, JobState

if TYPE_CHECKING:
    from perdure.app import Perdure

#: Letters that one transaction deletes, or one read of an export fetches.
PAGE = 500
_STATUSES = ("open", "replayed", "discarded")


class DeadLetters:
    """The dead letters of an application's ledger.

    Wherever filters are taken they are: ``task``, ``bulkhead``, ``error`` (its type), ``text`` (in its message or
    arguments), ``fingerprint``, ``reason``, ``tag`` (``("tenant", "a")`` or ``"tenant=a"``), ``since``, ``until``
    (datetimes or epoch seconds), ``status`` (``open``, ``replayed``, ``discarded``) and ``breaker``.

    Attributes:
        breakers: Says whether a circuit breaker is open; replays ask it.
    """

    def __init__(self, app: Perdure) -> None:
        self._app = app
        self._notices = LetterNotices(app)
        self.breakers = Breakers(app)

    # -- find --------------------------------------------------------------------------------------------------------

    def get(self, letter_id: str) -> DeadLetterRecord:
        """Return a dead letter.

        Raises:
            DeadLetterNotFound: The ledger has none of that id.
        """
        return self._app.ledger.dead_letter(letter_id)

    def list(self, *, limit: int = 100, after: str | None = None, **filters: Any) -> builtins.list[DeadLetterRecord]:
        """Return dead letters, the newest first.

        Args:
            limit: The most to return.
            after: The id of the last one of the page before.
            filters: Those of the class.

        Raises:
            InvalidArguments: There is no such filter, or its value is not allowed.
        """
        return self._app.ledger.dead_letters(limit=limit, after=after, **letter_filters(**filters).given())

    def count(self, **filters: Any) -> int:
        """Return how many dead letters match the filters."""
        return self._app.ledger.count_dead_letters(letter_filters(**filters))

    def groups(self, limit: int = 100) -> builtins.list[DeadLetterGroup]:
        """Return the faults that letters died of, the most frequent first."""
        return self._app.ledger.dead_letter_groups(limit)

    def attempts(self, letter_id: str) -> builtins.list[AttemptRecord]:
        """Return what the letter's job tried, the first attempt first."""
        letter = self.get(letter_id)
        if letter.history is not None:
            return letter_file.attempts_of(letter.history)
        return self._app.ledger.attempts(letter.job_id) if letter.job_id else []

    def audit(
        self, letter_id: str | None = None, *, fingerprint: str | None = None, limit: int = 100
    ) -> builtins.list[AuditRecord]:
        """Return who did what to a letter, to the letters of a fault, or to any; the newest first."""
        return self._app.ledger.dead_letter_audit(letter_id=letter_id, fingerprint=fingerprint, limit=limit)

    # -- replay ------------------------------------------------------------------------------------------------------

    def replay(
        self,
        letter_id: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        by: str = "python",
        force: bool = False,
        bulkhead: str | None = None,
        from_checkpoint: bool = False,
    ) -> JobHandle[Any]:
        """Run a dead letter again as a new job and return its handle.

        Replaying the same letter twice returns the same job.

        Args:
            letter_id: The dead letter.
            args: Positional arguments in place of the letter's; None keeps them.
            kwargs: Keyword arguments in place of the letter's; None keeps them.
            by: Who replays it, for the record.
            force: Make a new job even if the letter was replayed before, or the job's circuit breaker is open.
            bulkhead: Where to run it; None for where it died.
            from_checkpoint: Go on from what the dead job had saved, instead of from the start.

        Raises:
            DeadLetterNotFound: The ledger has none of that id.
            UnknownTask: This application does not have the letter's task.
            UnknownBulkhead: There is no such bulkhead.
            InvalidArguments: The arguments do not fit the task's signature; nothing was written.
            ReplayRefused: The job's breaker is open; nothing was written.
        """
        letter = self.get(letter_id)
        if not force and letter.replayed_as is None:
            self.breakers.check(letter)
        how: dict[str, Any] = {"by": by, "force": force, "bulkhead": bulkhead, "from_checkpoint": from_checkpoint}
        return self.run_again(letter, args, kwargs, **how)

    def run_again(
        self,
        letter: DeadLetterRecord,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        by: str,
        force: bool,
        bulkhead: str | None = None,
        from_checkpoint: bool = False,
    ) -> JobHandle[Any]:
        """Replay a letter as :meth:`replay` does, without asking its breaker."""
        new, diff = replacement(self._app, letter, args, kwargs, bulkhead)
        submitted, is_new = self._app.ledger.replay(
            letter.id, new, by, force=force, from_checkpoint=from_checkpoint, diff=diff
        )
        ticketed = True
        if is_new:
            ticket = Ticketed(
                new.id, new.task, new.bulkhead, new.priority, new.args, new.kwargs, new.timeout, new.replay_of
            )
            ticketed = not self._app.submitter.send_tickets([ticket])
            reason = f"replay of dead letter {letter.id} by {by}"
            self._app.events.emit(JobEvent(new.id, new.task, new.bulkhead, None, None, JobState.QUEUED, reason=reason))
        return JobHandle(self._app, submitted.id, deduplicated=not is_new, ticketed=ticketed)

    def plan(self, *, rate: float | str | None = None, limit: int | None = None, **filters: Any) -> ReplayPlan:
        """Return what a bulk replay of open letters would do; nothing is written.

        Args:
            rate: Replays a second, as ``50`` or ``"50/s"``; None for as fast as it goes.
            limit: The most letters.
            filters: Those of the class.
        """
        return make_plan(self._app, letter_filters(**_open(filters)), parse_rate(rate), limit)

    def replay_many(
        self,
        *,
        rate: float | str | None = None,
        dry_run: bool = False,
        canary: int = 0,
        max_failure_rate: float = 0.5,
        limit: int | None = None,
        bulkhead: str | None = None,
        from_checkpoint: bool = False,
        force: bool = False,
        by: str = "python",
        **filters: Any,
    ) -> JobHandle[Any] | ReplayPlan:
        """Replay all open letters that match, by a durable job that goes on where it was when its worker dies.

        Args:
            rate: Replays a second, as ``50`` or ``"50/s"``; None for as fast as it goes.
            dry_run: Say what would happen, and do nothing.
            canary: Replay so many first, and the rest only when not too many of them fail.
            max_failure_rate: The part of the replays, from 0 to 1, that may fail before the bulk replay stops.
            limit: The most letters to replay.
            bulkhead: Where to run them; None for where they died.
            from_checkpoint: Go on from what each had saved.
            force: Replay although a breaker is open.
            by: Who replays them, for the record.
            filters: Those of the class.

        Returns:
            The handle of the job ``perdure.replay``, whose result says what became of the letters; for a dry run the plan.
        """
        if dry_run:
            return self.plan(rate=rate, limit=limit, **filters)
        if not 0 <= max_failure_rate <= 1:
            raise InvalidArguments(f"max_failure_rate={max_failure_rate!r} must be from 0 to 1")
        chosen = letter_filters(**_open(filters))
        chosen = dataclasses.replace(chosen, up_to=chosen.up_to or self._app.ledger.newest_dead_letter())
        how = BulkReplay(
            filters=chosen.given(),
            rate=parse_rate(rate),
            canary=canary,
            max_failure_rate=max_failure_rate,
            limit=limit,
            bulkhead=None if bulkhead is None else self._app.bulkheads.checked(bulkhead),
            from_checkpoint=from_checkpoint,
            force=force,
            by=by,
        )
        register_bulk_replay(self._app)
        job = self._app.task(BULK_REPLAY).submit(how)
        self._app.ledger.audit_dead_letters("replay_many", by, {"job": job.id, **dataclasses.asdict(how)})
        return job

    # -- resolve -----------------------------------------------------------------------------------------------------

    def discard(self, letter_id: str, reason: str, by: str = "python") -> DeadLetterRecord:
        """Mark a letter as not to be replayed and return it.

        Raises:
            DeadLetterNotFound: The ledger has none of that id.
        """
        return self._app.ledger.discard_dead_letter(letter_id, reason, by)

    def note(self, letter_id: str, text: str, by: str = "python") -> DeadLetterRecord:
        """Write a note on a letter and return it.

        Raises:
            DeadLetterNotFound: The ledger has none of that id.
        """
        return self._app.ledger.note_dead_letter(letter_id, text, by)

    def note_group(self, fingerprint: str, text: str, by: str = "python") -> None:
        """Write a note on a fault, such as "known, fixed in 1.4".

        Raises:
            DeadLetterNotFound: No letter ever died of it.
        """
        if not self._app.ledger.note_dead_letter_group(fingerprint, text, by):
            raise DeadLetterNotFound(f"no dead letter has fingerprint {fingerprint!r}. List them: perdure dead groups")

    def purge(self, *, by: str = "python", everything: bool = False, **filters: Any) -> int:
        """Delete the letters that match, in batches, and return how many it was.

        Args:
            by: Who deletes them, for the record.
            everything: Needed to delete without any filter.
            filters: Those of the class.

        Raises:
            InvalidArguments: No filter is given, and not ``everything`` either.
        """
        chosen = letter_filters(**filters)
        if not chosen.given() and not everything:
            raise InvalidArguments("purge() without a filter deletes all dead letters; say everything=True to mean it")
        total = 0
        while deleted := self._app.ledger.purge_dead_letters(chosen, by, PAGE):
            total += deleted
        return total

    def export(self, *, by: str = "python", **filters: Any) -> Iterator[str]:
        """Yield the letters that match as lines of JSON, the oldest first; :meth:`import_` reads them elsewhere."""
        chosen = letter_filters(**filters).given()
        self._app.ledger.audit_dead_letters("export", by, chosen)
        after: str | None = None
        while page := self._app.ledger.dead_letters(limit=PAGE, after=after, oldest_first=True, **chosen):
            for letter in page:
                yield letter_file.to_line(letter, self.attempts(letter.id))
            after = page[-1].id

    def import_(self, lines: Iterable[str], by: str = "python") -> int:
        """Write exported letters as open ones and return how many were new; those that are here already stay as they are.

        Raises:
            InvalidArguments: A line is no exported letter; those before it were written.
        """
        rows = (letter_file.from_line(line, number) for number, line in enumerate(lines, 1) if line.strip())
        return sum(self._app.ledger.import_dead_letter(row, by) for row in rows)

    # -- notice ------------------------------------------------------------------------------------------------------

    def subscribe(self, subscriber: Callable[[LetterNotice], object]) -> Callable[[LetterNotice], object]:
        """Call a function with each notice: a new fault, one that grows, replays that fail again. Usable as a decorator.

        It is called once, in the process that found it out: a supervisor or a worker.
        """
        return self._notices.subscribe(subscriber)

    def look(self) -> int:
        """Tell subscribers what happened since the last look of any process; returns how many notices it was."""
        return self._notices.look()


def letter_filters(**filters: Any) -> LetterFilters:
    """Return filters as the ledger takes them; None counts as not given.

    Raises:
        InvalidArguments: There is no such filter, or its value is not allowed.
    """
    allowed = [field.name for field in dataclasses.fields(LetterFilters)]
    given = {name: value for name, value in filters.items() if value is not None}
    for name in given.keys() - set(allowed):
        raise InvalidArguments(f"{name!r} is no filter.{did_you_mean(name, allowed)} Filters: {', '.join(allowed)}")
    for name, choices in (("status", _STATUSES), ("reason", tuple(DeadReason))):
        if name in given and given[name] not in choices:
            raise InvalidArguments(f"{name}={given[name]!r} is not known. Allowed: {', '.join(choices)}")
    for name in {"since", "until"} & given.keys():
        given[name] = to_epoch(given[name])
    if "tag" in given:
        given["tag"] = _tag(given["tag"])
    return LetterFilters(**given)


def _open(filters: Mapping[str, Any]) -> dict[str, Any]:
    return {"status": "open", **{name: value for name, value in filters.items() if value is not None}}


def _tag(tag: Any) -> tuple[str, str]:
    name, equals, value = tag.partition("=") if isinstance(tag, str) else (tag[0], "=", tag[1])
    if not equals:
        raise InvalidArguments(f"tag={tag!r} must be NAME=VALUE")
    return name, value
