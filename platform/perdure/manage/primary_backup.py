"""Passive replication: operations run on a primary, and durable jobs carry them and their results to its backups.

    stock = app.primary_backup("stock", {"eu": eu, "us": us}, run=reserve, apply=copy)
    stock.submit({"sku": "a", "count": 1}, key="order-1").wait()

When the primary fails again and again, in operations or health checks, the first backup that is well takes over. A person
may promote one as well: ``stock.promote("us", reason="eu moves house")``.

An operation is a job, so it survives every crash. It counts when it is in the group's log, and it gets there in one
transaction with the jobs that copy it to the backups, which checks two fences: the job's, and the epoch that a promotion
ends. What an old primary still does has no effect then; the operation runs again, on the new one.

The pattern is that of Budhiraja, Marzullo, Schneider and Toueg, "The primary-backup approach" (Distributed Systems, 1993).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from msgspec import Struct

from perdure.errors import InvalidJobDefinition, PerdureError
from perdure.ledger.running import replicated_log
from perdure.ledger.running.replicated_log import GroupState, LogEntry, MemberState, Promotion
from perdure.manage.group_failover import BY_ITSELF, GroupFailover, successor
from perdure.model.codec import codec
from perdure.model.outcomes import Snooze
from perdure.model.replication import Fenced
from perdure.model.settlement import TimeLimitReached
from perdure.resilience.listeners import Listeners
from perdure.resilience.service.timeouts import Timeout
from perdure.running.context import JobContext
from perdure.submit.handle import JobHandle
from perdure.system.who import whoami

if TYPE_CHECKING:
    from perdure.ledger import Ledger
    from perdure.submit.submitter import Submitter
    from perdure.submit.task import Task

S = TypeVar("S")
Hook = TypeVar("Hook", bound=Callable[[Promotion], object])

logger = logging.getLogger("perdure.primary_backup")

#: Operations that stay in the log when all members have them: a job whose settlement was in doubt finds its own there.
KEPT = 1000
#: Operations that are read from the log at once.
PAGE = 100
#: How often an operation runs again at once whose primary was replaced under it, and the seconds until it does later.
TRIES, AGAIN = 5, 0.1
#: Seconds until an operation runs again that failed on a primary which is not given up yet.
BETWEEN_FAILURES = 0.5
#: Seconds until a hook that failed is told of a promotion again.
TELL_AGAIN = 30.0


class ReplicaBehind(PerdureError):
    """A member misses operations that the log no longer has."""


class Operation(Struct, frozen=True):
    """What a member is to do.

    Attributes:
        key: The same each time that the operation is tried, on whichever member: one that has done it must do nothing.
        value: What was submitted.
        epoch: The epoch of the primary that runs it; a store that remembers the newest refuses what an old one sends.
    """

    key: str
    value: Any
    epoch: int


class GroupSnapshot(Struct, frozen=True):
    """A group at one moment; ``applied`` is the number of each member's last operation, ``sequence`` the log's.

    ``failures`` are those in a row.
    """

    name: str
    primary: str
    epoch: int
    sequence: int
    applied: Mapping[str, int]
    failures: Mapping[str, int]
    promoted_by: str | None
    reason: str | None


_FAILOVER = GroupFailover()


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
        check: Says whether a member is well, asked by supervisors: one that raises or returns False is not.
        failover: When a backup takes over by itself; None: only by hand.
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
        *,
        check: Callable[[S], object] | None = None,
        failover: GroupFailover | None = _FAILOVER,
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
        self._check, self._failover = check, failover
        self._checking = Timeout(f"check of {name}", failover.check_timeout if failover else None)
        self._expected: tuple[type[Exception], ...] = (TimeLimitReached, *failover.expected) if failover else ()
        self._listeners: Listeners[Promotion] = Listeners()
        self._hooks: list[Callable[[Promotion], object]] = []
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
            seen = self._group()
            chosen = member or successor(list(self._members), seen.primary, self._states(), lambda _: True)
            if chosen not in self._members:
                raise KeyError(f"group {self.name!r} has no member {chosen!r} to promote: {', '.join(self._members)}")
            if (promotion := self._begin_epoch(seen, chosen, by or whoami(), reason)) is not None:
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
        group, states = self._group(), self._states()
        return GroupSnapshot(
            name=self.name,
            primary=group.primary,
            epoch=group.epoch,
            sequence=group.sequence,
            applied={name: state.applied for name, state in states.items()},
            failures={name: state.failures for name, state in states.items()},
            promoted_by=group.promoted_by,
            reason=group.reason,
        )

    def promotions(self, limit: int = 100) -> list[Promotion]:
        """Return the changes of the primary, the newest first."""
        found: list[Promotion] = self._in_ledger(replicated_log.promotions_of, limit)
        return found

    def listen(self, listener: Callable[[Promotion], None]) -> Callable[[], None]:
        """Call ``listener`` with each promotion that this process makes; returns what unsubscribes."""
        return self._listeners.add(listener)

    def on_promotion(self, hook: Hook) -> Hook:
        """Call a function with each promotion, whichever process made it. Usable as a decorator.

        Some supervisor calls it, at least once, and again every half minute until it and all others have not raised.
        """
        self._hooks.append(hook)
        return hook

    # -- in supervisors ------------------------------------------------------------------------------------------------

    def look_after(self) -> int:
        """Check the members when it is time, tell hooks of promotions, and return of how many."""
        self._group()
        if self._check and self._failover and self._in_ledger(replicated_log.take_turn, self._failover.check_interval):
            self.check()
        promotions: list[Promotion] = self._in_ledger(replicated_log.take_untold, TELL_AGAIN)
        return sum(self._tell(promotion) for promotion in promotions)

    def check(self) -> dict[str, bool]:
        """Check all members once, promote a backup if the primary has failed too often, and return who is well."""
        group = self._group()
        well = {name: self._is_well(name) for name in self._members}
        for name, is_well in well.items():
            if is_well:
                self._in_ledger(replicated_log.is_well, name)
            elif self._is_given_up(name, group, "a health check"):
                break  # what was found of the others is old by now
        return well

    def _is_well(self, name: str) -> bool:
        """Ask a member's check."""
        if self._check is None or self._failover is None:
            return True
        check, member = self._check, self._members[name]
        try:
            return self._checking.call(lambda: check(member)) is not False
        except Exception as error:  # noqa: BLE001 - any error of a check says that the member is not well
            logger.info("%s: %s is not well: %s", self.name, name, type(error).__name__)
            return False

    def _tell(self, promotion: Promotion) -> bool:
        try:
            for hook in self._hooks:
                hook(promotion)
        except Exception:
            logger.exception("%s: a hook failed on %r, and is called again", self.name, promotion)
            return False
        self._in_ledger(replicated_log.told, promotion.epoch)
        return True

    # -- replacing the primary -----------------------------------------------------------------------------------------

    def _is_given_up(self, member: str, seen: GroupState, what: str) -> bool:
        """Count a member's failure; if that was a primary's last one, return whether another is primary now."""
        assert self._failover is not None
        failures = self._in_ledger(replicated_log.failed, member)
        if member != seen.primary or failures < self._failover.failure_threshold:
            return False
        states = self._states()
        chosen = successor(list(self._members), member, states, lambda name: self._may_follow(name, states[name].failures))
        if chosen is None:
            logger.error("%s: the primary %s fails, and no backup is well", self.name, member)
            return False
        reason = f"{member} failed {failures} times in a row, last in {what}"
        self._begin_epoch(seen, chosen, BY_ITSELF, reason)
        return True  # by this call, or by somebody who was faster

    def _may_follow(self, member: str, failures: int) -> bool:
        assert self._failover is not None
        return failures < self._failover.failure_threshold and self._is_well(member)

    def _begin_epoch(self, seen: GroupState, chosen: str, by: str, reason: str) -> Promotion | None:
        promotion = self._ledger.hot(
            lambda c: replicated_log.promote(c, self.name, seen, chosen, by, reason), autocommit=False
        )
        if promotion is not None:
            logger.warning("%s: %s is the primary of epoch %d: %s", self.name, chosen, promotion.epoch, reason)
            self._listeners.emit(promotion)
        return promotion

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
        try:
            self._catch_up(group.primary, group.sequence)
            result = self._run(self._members[group.primary], Operation(key, value, group.epoch))
        except self._expected as error:
            self._after_failure(group, error)
            raise
        texts = {"operation": codec.encode(value), "result": codec.encode(result, what=f"the result of {self._task.name}")}
        sealed = {name: self._ledger.vault.put(text, name, ctx.job_id, None) for name, text in texts.items()}
        entry = LogEntry(group.sequence + 1, group.epoch, key, ctx.job_id, **sealed)
        with ctx.transaction() as connection:
            replicated_log.record(connection, self.name, group, entry)
            backups = [(name, entry.sequence) for name in self._members if name != group.primary]
            self._submitter.submit_within(connection, self._copies, backups)
        return result

    def _after_failure(self, group: GroupState, error: Exception) -> None:
        """See to it that an operation whose primary failed runs on, and burns no attempt where another may run it.

        Raises:
            Fenced: Another member is the primary now.
            Snooze: The primary may still turn out to be well.
        """
        given_up = self._is_given_up(group.primary, group, f"an operation with {type(error).__name__}")
        if isinstance(error, TimeLimitReached):
            return  # this attempt is over in any case
        if given_up:
            raise Fenced(f"{group.primary!r} is no longer the primary of {self.name!r}") from error
        failures = self._states()[group.primary].failures
        if self._failover and failures < self._failover.failure_threshold and len(self._members) > 1:
            told = f"the primary {group.primary!r} of {self.name!r} failed with {type(error).__name__}"
            raise Snooze(BETWEEN_FAILURES, told) from error

    def _copy(self, member: str, sequence: int) -> int:
        """Bring a member's state up to an operation and return how many the log has lost meanwhile."""
        if member in self._members:  # it may have left the group
            try:
                self._catch_up(member, sequence)
            except self._expected:
                self._in_ledger(replicated_log.failed, member)
                raise
        forgotten: int = self._in_ledger(replicated_log.forget, KEPT)
        return forgotten

    def _catch_up(self, member: str, sequence: int) -> None:
        while (at := self._states()[member].applied) < sequence:
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

    def _states(self) -> dict[str, MemberState]:
        states: dict[str, MemberState] = self._in_ledger(replicated_log.member_states)
        return states

    def _group(self) -> GroupState:
        if not self._written:
            self._in_ledger(replicated_log.ensure, list(self._members))
            self._written = True
        group: GroupState = self._in_ledger(replicated_log.group)
        return group

    def _in_ledger(self, what: Callable[..., Any], *arguments: Any) -> Any:
        return self._ledger.hot(lambda connection: what(connection, self.name, *arguments))
