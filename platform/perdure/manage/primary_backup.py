"""Passive replication: operations run on a primary, and durable jobs carry them and their results to its backups.

    stock = app.primary_backup("stock", {"eu": eu, "us": us}, run=reserve, apply=copy)
    stock.submit({"sku": "a", "count": 1}, key="order-1").wait()
    stock.promote("us", reason="eu is gone")

An operation is a job, so it survives every crash. It counts when it is in the group's log, and it gets there in one
transaction with the jobs that copy it to the backups, which checks two fences: the job's, and the epoch that a promotion
ends. What an old primary still does has no effect then; the operation runs again, on the new one.

The pattern is that of Budhiraja, Marzullo, Schneider and Toueg, "The primary-backup approach" (Distributed Systems, 1993).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from perdure.errors import InvalidJobDefinition, PerdureError
from perdure.ledger.running import replicated_log
from perdure.ledger.running.replicated_log import GroupState, LogEntry
from perdure.model.codec import codec
from perdure.model.outcomes import Snooze
from perdure.model.replication import Fenced
from perdure.resilience.listeners import Listeners
from perdure.running.context import JobContext
from perdure.submit.handle import JobHandle
from perdure.system.who import whoami

if TYPE_CHECKING:
    from perdure.ledger import Ledger
    from perdure.submit.submitter import Submitter
    from perdure.submit.task import Task

S = TypeVar("S")

logger = logging.getLogger("perdure.primary_backup")

#: Operations that stay in the log when all members have them: a job whose settlement was in doubt finds its own there.
KEPT = 1000
#: Operations that are read from the log at once.
PAGE = 100
#: How often an operation runs again at once whose primary was replaced under it, and the seconds until it does later.
TRIES, AGAIN = 5, 0.1


class ReplicaBehind(PerdureError):
    """A member misses operations that the log no longer has."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What a member is to do.

    Attributes:
        key: The same each time that the operation is tried, on whichever member: one that has done it must do nothing.
        value: What was submitted.
        epoch: The epoch of the primary that runs it; a store that remembers the newest refuses what an old one sends.
    """

    key: str
    value: Any
    epoch: int


@dataclass(frozen=True, slots=True)
class Promotion:
    """A new primary."""

    group: str
    primary: str
    epoch: int
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class GroupSnapshot:
    """A group at one moment; ``applied`` is the number of each member's last operation, ``sequence`` the log's."""

    name: str
    primary: str
    epoch: int
    sequence: int
    applied: Mapping[str, int]
    promoted_by: str | None
    reason: str | None


class PrimaryBackup(Generic[S]):
    """A primary and its backups; made by :meth:`Perdure.primary_backup` where tasks are defined.

    Args:
        register: Makes the group's two tasks.
        ledger: Where the log is.
        submitter: Submits the jobs that copy.
        name: The group, and the beginning of its two tasks' names.
        members: What operations run on, by name; the first one is primary until another is promoted.
        run: Runs an operation on the primary and returns its result.
        apply: Brings an operation to a backup, given the primary's result; by default it is run there as well.
        options: Options of the task that runs operations (``bulkhead``, ``retry``, ``timeout``).

    Both functions may be called more than once with the same operation, and must then change nothing.

    Raises:
        InvalidJobDefinition: There is no member, or an option is not allowed.
    """

    def __init__(
        self,
        register: Callable[..., Task[..., Any]],
        ledger: Ledger,
        submitter: Submitter,
        name: str,
        members: Mapping[str, S],
        run: Callable[[S, Operation], Any],
        apply: Callable[[S, Operation, Any], object] | None = None,
        **options: Any,
    ) -> None:
        if not members or set(options) - {"bulkhead", "retry", "timeout"}:
            raise InvalidJobDefinition(
                f"primary_backup({name!r}) needs one member or more, and takes bulkhead=, retry= and timeout=; "
                f"it got {len(members)} members and {', '.join(sorted(options)) or 'no options'}"
            )
        self.name = name
        self._ledger, self._submitter, self._members, self._run = ledger, submitter, dict(members), run
        self._apply = apply or (lambda service, operation, _result: run(service, operation))
        self._listeners: Listeners[Promotion] = Listeners()
        self._written = False

        def operate(ctx: JobContext, value: Any) -> Any:
            """Run an operation on the primary."""
            return self._operate(ctx, value)

        def copy(member: str, sequence: int) -> int:
            """Bring a backup up to an operation."""
            return self._copy(member, sequence)

        # One at a time, so that the log's order is the order in which the primary ran them.
        self._task = register(operate, name=f"{name}.run", limit=1, **options)
        where = {"bulkhead": options["bulkhead"]} if "bulkhead" in options else {}
        self._copies = register(copy, name=f"{name}.copy", limit=1, limit_by="member", retry="slow", **where)

    def submit(self, value: Any, *, key: str | None = None, **options: Any) -> JobHandle[Any]:
        """Submit an operation and return its job, whose result is the primary's.

        Args:
            value: The operation.
            key: Its idempotency key; the job's id by default.
            options: Those of :meth:`Task.options`.
        """
        handle: JobHandle[Any] = self._task.options(idempotency_key=key, **options).submit(value)
        return handle

    def promote(self, member: str | None = None, *, reason: str, by: str | None = None) -> Promotion:
        """Begin an epoch with a new primary. Operations of the old one that are not in the log yet run on the new one.

        Args:
            member: The new primary; by default the backup that has applied the most.
            reason: Why.
            by: Who; by default the user of this process.

        Raises:
            KeyError: The group has no such member, or no other than the primary.
        """
        while True:
            seen = self.snapshot()
            others = [name for name in self._members if name != seen.primary]
            chosen = member or max(others, key=lambda name: seen.applied[name], default=None)
            if chosen not in self._members:
                raise KeyError(f"group {self.name!r} has no member {chosen!r} to promote: {', '.join(self._members)}")
            who, epoch = by or whoami(), seen.epoch
            if self._in_ledger(replicated_log.promote, epoch, chosen, who, reason):
                promotion = Promotion(self.name, chosen, epoch + 1, who, reason)
                logger.warning("%s: %s is the primary of epoch %d: %s", self.name, chosen, epoch + 1, reason)
                self._listeners.emit(promotion)
                return promotion

    def synced(self, member: str, sequence: int) -> None:
        """Note that a member was given a copy of the state: a new one, or one that was far behind.

        Args:
            member: Its name.
            sequence: The number of the last operation that the copy has.
        """
        self._in_ledger(replicated_log.synced, member, sequence)

    def snapshot(self) -> GroupSnapshot:
        """Return the group as it is."""
        group, applied = self._group(), self._in_ledger(replicated_log.applied)
        promoted = {"promoted_by": group.promoted_by, "reason": group.reason}
        return GroupSnapshot(self.name, group.primary, group.epoch, group.sequence, applied, **promoted)

    def listen(self, listener: Callable[[Promotion], None]) -> Callable[[], None]:
        """Call ``listener`` with each promotion that this process makes; returns what unsubscribes."""
        return self._listeners.add(listener)

    # -- in workers ----------------------------------------------------------------------------------------------------

    def _operate(self, ctx: JobContext, value: Any) -> Any:
        """Run an operation on whoever is primary in the end, holding the group's turn meanwhile."""
        for _ in range(TRIES):
            try:
                return self._run_on_primary(ctx, value)
            except Fenced as fenced:
                told = str(fenced)
                logger.warning("%s", told)
        raise Snooze(AGAIN, told)

    def _run_on_primary(self, ctx: JobContext, value: Any) -> Any:
        """Run an operation on the primary and record it, with the jobs that copy it."""
        key = ctx.idempotency_key
        group = self._group()
        if (before := self._in_ledger(replicated_log.entry_of, key)) is not None:
            return self._opened(before, "result")
        self._catch_up(group.primary, group.sequence)
        result = self._run(self._members[group.primary], Operation(key, value, group.epoch))
        texts = {"operation": codec.encode(value), "result": codec.encode(result, what=f"the result of {self._task.name}")}
        sealed = {name: self._ledger.vault.put(text, name, ctx.job_id, None) for name, text in texts.items()}
        entry = LogEntry(group.sequence + 1, group.epoch, key, ctx.job_id, **sealed)
        with ctx.transaction() as connection:
            replicated_log.record(connection, self.name, group, entry)
            backups = [(name, entry.sequence) for name in self._members if name != group.primary]
            self._submitter.submit_within(connection, self._copies, backups)
        return result

    def _copy(self, member: str, sequence: int) -> int:
        """Bring a member's state up to an operation and return how many the log has lost meanwhile."""
        if member in self._members:  # it may have left the group
            self._catch_up(member, sequence)
        forgotten: int = self._in_ledger(replicated_log.forget, KEPT)
        return forgotten

    def _catch_up(self, member: str, sequence: int) -> None:
        while (at := self._in_ledger(replicated_log.applied)[member]) < sequence:
            entries = self._in_ledger(replicated_log.entries_after, at, PAGE)
            if not entries or entries[0].sequence != at + 1:
                raise ReplicaBehind(
                    f"member {member!r} of {self.name!r} has applied operation {at}, and the log no longer has the next. "
                    f"Copy the primary's state into it, then call synced({member!r}, the primary's sequence)"
                )
            for entry in entries:
                operation = Operation(entry.key, self._opened(entry, "operation"), entry.epoch)
                self._apply(self._members[member], operation, self._opened(entry, "result"))
                if not self._in_ledger(replicated_log.advance, member, entry.sequence):
                    break  # another job brought it on as well

    def _opened(self, entry: LogEntry, column: str) -> Any:
        return codec.decode(self._ledger.vault.get(getattr(entry, column), column, entry.job_id, None))

    def _group(self) -> GroupState:
        if not self._written:
            self._in_ledger(replicated_log.ensure, list(self._members))
            self._written = True
        group: GroupState = self._in_ledger(replicated_log.group)
        return group

    def _in_ledger(self, what: Callable[..., Any], *arguments: Any) -> Any:
        return self._ledger.read(lambda connection: what(connection, self.name, *arguments))
