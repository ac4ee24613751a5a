"""Replaying dead letters, one or many."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from msgspec.structs import asdict

from perdure.errors import InvalidArguments
from perdure.manage.dead_letters.bulk_replay import ReplayReport, ReplayRequest
from perdure.manage.dead_letters.filters import letter_filter
from perdure.manage.dead_letters.find import LetterFinding
from perdure.manage.dead_letters.replay_plan import ReplayPlan, fixed, plan
from perdure.manage.dead_letters.replayed_before import refuse_if_other
from perdure.model.dead_letter import Actor
from perdure.model.rate import per_second

if TYPE_CHECKING:
    from perdure.ledger import Ledger
    from perdure.manage.dead_letters.replayer import Replayer
    from perdure.submit.handle import Handles, JobHandle
    from perdure.submit.task import Task


class LetterReplaying(LetterFinding):
    """What ``app.dead_letters`` can replay."""

    def __init__(
        self, ledger: Ledger, replayer: Replayer, handles: Handles, bulk_task: Callable[[], Task[..., ReplayReport]]
    ) -> None:
        super().__init__(ledger)
        #: Makes new jobs of letters; for the parts of perdure that replay many.
        self.replayer = replayer
        self._handles = handles
        self._bulk_task = bulk_task

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

        Replaying the same letter twice returns the same job; saying how is refused then, unless it is what was said before.

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
            ReplayRefused: The letter was discarded, its circuit breaker is open, or it was replayed before with other
                arguments or on another bulkhead; nothing was written.
            LetterUnopened: The letter's arguments are sealed or offloaded and cannot be opened here; nothing was written.
        """
        letter = self.get(letter_id)
        says_how = args is not None or kwargs is not None or bulkhead is not None
        if letter.replayed_as is not None and not force and not says_how:
            return self._handles.to(letter.replayed_as, deduplicated=True)
        item = self.replayer.prepare(letter, args=args, kwargs=kwargs, bulkhead=bulkhead, from_checkpoint=from_checkpoint)
        if letter.replayed_as is None and not force:
            self.replayer.refuse_if_open(letter)
        [result] = self.replayer.write([item], Actor.of(by, source), force=force)
        job_id = result.submitted.id
        if says_how and not result.is_new:
            refuse_if_other(self._ledger, item, job_id)
        return self._handles.to(job_id, deduplicated=not result.is_new)

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
        result is a :class:`~perdure.manage.dead_letters.bulk_replay.ReplayReport`.

        Args:
            rate: Letters a second, or a text such as ``50/s`` or ``10/m``; None for no bound.
            dry_run: Write nothing and return a plan, which says what would be; see
                :class:`~perdure.manage.dead_letters.replay_plan.ReplayPlan`.
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
        actor, letters = Actor.of(by, source), self._ledger.letters
        request = ReplayRequest(
            fixed(letter_filter(**filters), letters.newest_id()),
            actor.who,
            actor.source,
            rate=per_second(rate),
            canary=canary,
            max_failure_rate=max_failure_rate,
            to_bulkhead=None if to_bulkhead is None else self.replayer.checked(to_bulkhead),
            from_checkpoint=from_checkpoint,
            force=force,
        )
        return plan(self._ledger, self.replayer, request) if dry_run else self.start_replay(request)

    def start_replay(
        self, request: ReplayRequest, idempotency_key: str | None = None, tags: dict[str, str] | None = None
    ) -> JobHandle[ReplayReport]:
        """Submit a bulk replay and return its job; for the parts of perdure that make requests of their own.

        Args:
            request: Which letters, and how.
            idempotency_key: Makes one job of several such calls.
            tags: The job's tags.
        """
        job: JobHandle[ReplayReport] = (
            self._bulk_task().options(idempotency_key=idempotency_key, tags=tags or {}).submit(request)
        )
        if not job.deduplicated:
            how = {
                name: value for name, value in asdict(request).items() if value and name not in ("by", "source", "which")
            }
            entry = {"job_id": job.id, "which": request.which.given(), **how}
            self._ledger.letters.record(Actor(request.by, request.source), "replay_many", [entry])
        return job
