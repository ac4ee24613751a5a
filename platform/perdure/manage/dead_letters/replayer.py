"""Making a new job of a dead letter: checked in full before anything is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from perdure.errors import InvalidArguments, ReplayRefused, UnknownTask
from perdure.ledger.dead_letters.replay import Replay, Replayed
from perdure.model.codec import codec
from perdure.model.dead_letter import Actor
from perdure.model.job_options import SubmitOptions
from perdure.model.masking import MASK, mask_call, mask_parameters, masked_parameters
from perdure.model.new_job import NewJob
from perdure.model.records import DeadLetterRecord
from perdure.model.storage_errors import LetterUnopened
from perdure.submit.send_span import sending
from perdure.system.tracing import CARRIED, REPLAYED, TRACEPARENT

if TYPE_CHECKING:
    from perdure.ledger import Ledger
    from perdure.model.signature import Payload
    from perdure.model.task_spec import TaskSpec
    from perdure.resilience.breaker.breakers import Breakers
    from perdure.settings.settings import Settings
    from perdure.submit.submitter import Submitter


class Replayer:
    """Replays dead letters of one application, one or several at a time.

    Args:
        settings: The application's settings.
        tasks: Its tasks by name.
        ledger: Where its letters are.
        submitter: Rings for the new jobs and tells of them.
        breakers: Returns its circuit breakers.
    """

    def __init__(
        self,
        settings: Settings,
        tasks: Mapping[str, TaskSpec],
        ledger: Ledger,
        submitter: Submitter,
        breakers: Callable[[], Breakers],
    ) -> None:
        self._settings = settings
        self._tasks = tasks
        self._ledger = ledger
        self._submitter = submitter
        #: Says whether the circuit breaker of a name is open.
        self.breaker_is_open: Callable[[str], bool] = lambda name: breakers()[name].state == "open"

    def prepare(
        self,
        letter: DeadLetterRecord,
        *,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        bulkhead: str | None = None,
        from_checkpoint: bool = False,
    ) -> Replay:
        """Return what is to be written for a letter.

        Raises:
            UnknownTask: This application does not have the letter's task.
            UnknownBulkhead: There is no such bulkhead.
            InvalidArguments: The arguments do not fit the task's signature, or the letter holds a message and no job.
            LetterUnopened: The letter's arguments are sealed or offloaded and cannot be opened here.
        """
        task = self._task_of(letter)
        for column, given in (("args", args), ("kwargs", kwargs)):
            if given is None and column in letter.unopened:
                raise LetterUnopened(f"dead letter {letter.id} cannot be replayed: {letter.unopened[column]}")
        positional = codec.untagged(letter.args) if args is None else args
        named = codec.untagged(letter.kwargs) if kwargs is None else dict(kwargs)
        if masked := masked_parameters(task, positional, named):
            raise InvalidArguments(
                f"dead letter {letter.id}: {', '.join(masked)} is {MASK!r}, which is shown in place of a secret. Give the "
                "secret itself: --args or --kwargs"
            )
        if args is None and kwargs is None:
            payload = task.signature.check_stored(letter.args, letter.kwargs)
        else:
            payload = task.signature.encode(*task.signature.typed(positional, named, typed_in=True))
        bulkhead = bulkhead or self._bulkhead_of(letter, task)
        tags = _of_a_new_trace(letter.tags)
        how = SubmitOptions(bulkhead=bulkhead, priority=letter.priority, timeout=letter.timeout, tags=tags)
        new = replace(self._submitter.new_job(task, payload, positional, named, how), replay_of=letter.job_id)
        changes = _changes(letter, task, payload, new)
        if self._ledger.vault.seals:
            changes.pop("arguments", None)  # the audit trail is not sealed
        return Replay(letter.id, self._ledger.vault.new_job(new), changes, from_checkpoint)

    def refuse_if_open(self, letter: DeadLetterRecord) -> None:
        """Refuse to replay a letter whose circuit breaker is open.

        Raises:
            ReplayRefused: It is.
        """
        name = self.open_breaker(letter)
        if name is not None:
            raise ReplayRefused(
                f"dead letter {letter.id}: its circuit breaker {name!r} is open, so it would fail again. Wait until it "
                "closes, or replay it all the same, by force (on the command line: --force)"
            )

    def open_breaker(self, letter: DeadLetterRecord) -> str | None:
        """Return the name of the open breaker that a letter's job would meet, or None."""
        return next((name for name in self.breakers_of(letter) if self.breaker_is_open(name)), None)

    def breakers_of(self, letter: DeadLetterRecord) -> list[str]:
        """Return the circuit breakers that a letter's job would meet: the one it died of, and its task's."""
        task = self._tasks.get(letter.task)
        return sorted({name for name in (letter.breaker, task.breaker if task else None) if name})

    def write(
        self, items: Sequence[Replay], actor: Actor, *, batch: str | None = None, force: bool = False
    ) -> list[Replayed]:
        """Write jobs, ring for them and return what became of each."""
        with sending([item.new for item in items]) as new:
            items = [replace(item, new=job) for item, job in zip(items, new, strict=True)]
            replayed = self._ledger.letters.replay(items, actor, batch=batch, force=force)
        fresh = [item for item, result in zip(items, replayed, strict=True) if result.is_new]
        reasons = [f"replay of dead letter {item.letter_id} by {actor.who}" for item in fresh]
        self._submitter.announce([item.new for item in fresh], reasons)
        return replayed

    def await_room(self, items: Sequence[Replay]) -> None:
        """Wait until there is room for jobs in their bulkheads, as long as these say.

        Raises:
            BulkheadFull: One has none.
        """
        for bulkhead, count in Counter(item.new.bulkhead for item in items).items():
            self._submitter.await_room(bulkhead, count)

    def checked(self, bulkhead: str) -> str:
        """Return the name of a bulkhead to replay to.

        Raises:
            UnknownBulkhead: There is no such bulkhead.
        """
        self._settings.bulkhead(bulkhead)
        return bulkhead

    def _task_of(self, letter: DeadLetterRecord) -> TaskSpec:
        if letter.job_id is None:
            raise InvalidArguments(f"dead letter {letter.id} holds a broker message, not a job; it cannot be replayed")
        task = self._tasks.get(letter.task)
        if task is None:
            raise UnknownTask(letter.task, self._tasks)
        return task

    def _bulkhead_of(self, letter: DeadLetterRecord, task: TaskSpec) -> str:
        # A letter of another release or environment may name a bulkhead that this one does not have.
        return letter.bulkhead if letter.bulkhead in self._settings.bulkheads else task.bulkhead


def _of_a_new_trace(tags: Mapping[str, str]) -> dict[str, str]:
    """Return a letter's tags for its replay, which belongs to a trace of its own with a link to the letter's."""
    kept = {tag: value for tag, value in tags.items() if tag not in CARRIED}
    return {**kept, REPLAYED: tags[TRACEPARENT]} if TRACEPARENT in tags else kept


def _changes(letter: DeadLetterRecord, task: TaskSpec, payload: Payload, new: NewJob) -> dict[str, Any]:
    """Return what is different from the letter: arguments by parameter, secrets masked, and the bulkhead."""
    args, kwargs = msgspec.json.decode(payload.args), msgspec.json.decode(payload.kwargs)
    after = task.signature.arguments(args, kwargs)
    show = partial(mask_parameters, task)
    try:
        before = task.signature.arguments(letter.args, letter.kwargs)
    except InvalidArguments:  # the signature has changed since: only the whole can be compared
        before = {"args": letter.args, "kwargs": letter.kwargs}
        after = {"args": args, "kwargs": kwargs}
        show = partial(_mask_whole, task)
    missing = object()
    names = [name for name in {**before, **after} if before.get(name, missing) != after.get(name, missing)]
    changes: dict[str, Any] = {}
    if names:
        sides = (("from", show(before)), ("to", show(after)))
        changes["arguments"] = {name: {side: values[name] for side, values in sides if name in values} for name in names}
    if new.bulkhead != letter.bulkhead:
        changes["bulkhead"] = {"from": letter.bulkhead, "to": new.bulkhead}
    return changes


def _mask_whole(task: TaskSpec, call: Mapping[str, Any]) -> dict[str, Any]:
    return dict(zip(("args", "kwargs"), mask_call(task, call["args"], call["kwargs"]), strict=True))
