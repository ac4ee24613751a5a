"""What a bulk replay would do: a plan, made without writing anything."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from perdure.errors import InvalidArguments, UnknownBulkhead, UnknownTask
from perdure.manage.dead_letters.bulk_replay import EXAMPLES, ReplayRequest
from perdure.model.dead_letter import OPEN, LetterFilter
from perdure.model.storage_errors import LetterUnopened

if TYPE_CHECKING:
    from perdure.ledger import Ledger
    from perdure.manage.dead_letters.replayer import Replayer
    from perdure.model.records import DeadLetterRecord

#: Letters that a plan checks one by one; of more it checks the oldest so many, and says so.
CHECKED = 10_000
PAGE = 500
#: Letters that a bulk replay without a rate replays in a second, as measured on two cores.
USUAL_RATE = 300.0


class ReplayPlan(Struct):
    """What a bulk replay would do.

    Attributes:
        count: Letters that match.
        checked: Letters that were checked one by one; the counts below are of these.
        by_task: Letters of each task.
        does_not_fit: Letters whose arguments do not fit the current signature, or whose task is not known any more.
        examples: Some of these: ``letter_id`` and ``why``.
        breakers: Whether each circuit breaker that they would meet is ``open``.
        breaker_open: Letters that are refused because theirs is.
        canary: Letters that go first.
        rate: Letters a second; None for no bound.
        estimated_seconds: Until the last one has run: what sending takes, or running with the workers there are.
    """

    count: int
    checked: int = 0
    by_task: dict[str, int] = field(default_factory=dict)
    does_not_fit: int = 0
    examples: list[dict[str, str]] = field(default_factory=list)
    breakers: dict[str, bool] = field(default_factory=dict)
    breaker_open: int = 0
    canary: int = 0
    rate: float | None = None
    estimated_seconds: float = 0.0


def plan(ledger: Ledger, replayer: Replayer, request: ReplayRequest) -> ReplayPlan:
    """Return what a bulk replay would do."""
    which = request.which if request.which.status or request.force else replace(request.which, status=OPEN)
    made = ReplayPlan(ledger.letters.count(which), canary=request.canary, rate=request.rate)
    work: Counter[tuple[str, str]] = Counter()
    after: str | None = None
    while made.checked < CHECKED:
        page = ledger.letters.page(which, limit=PAGE, after=after, oldest_first=True)
        if not page:
            break
        after = page[-1].id
        for letter in page:
            _check(replayer, letter, request, made, work)
    made.estimated_seconds = round(_seconds(ledger, made, work), 1)
    return made


def _check(
    replayer: Replayer, letter: DeadLetterRecord, request: ReplayRequest, made: ReplayPlan, work: Counter[tuple[str, str]]
) -> None:
    made.checked += 1
    made.by_task[letter.task] = made.by_task.get(letter.task, 0) + 1
    if _meets_open_breaker(replayer, letter, made) and not request.force:
        made.breaker_open += 1
        return
    try:
        item = replayer.prepare(letter, bulkhead=request.to_bulkhead)
    except (InvalidArguments, UnknownTask, UnknownBulkhead, LetterUnopened) as error:
        made.does_not_fit += 1
        if len(made.examples) < EXAMPLES:
            made.examples.append({"letter_id": letter.id, "why": str(error)})
        return
    work[letter.task, item.new.bulkhead] += 1


def _meets_open_breaker(replayer: Replayer, letter: DeadLetterRecord, made: ReplayPlan) -> bool:
    names = replayer.breakers_of(letter)
    for name in names:
        if name not in made.breakers:
            made.breakers[name] = replayer.breaker_is_open(name)
    return any(made.breakers[name] for name in names)


def _seconds(ledger: Ledger, made: ReplayPlan, work: Counter[tuple[str, str]]) -> float:
    replayed = sum(work.values())
    if not replayed:
        return 0.0
    scale = made.count / made.checked
    sending = replayed * scale / (made.rate or USUAL_RATE)
    children: Counter[str] = Counter()
    for worker in ledger.workers.listing():
        children[worker.bulkhead] += worker.concurrency
    running: dict[str, float] = {}
    for (task, bulkhead), count in work.items():
        mean = ledger.jobs.mean_run(task)
        seconds = count * scale * mean / max(1, children[bulkhead])
        running[bulkhead] = running.get(bulkhead, 0.0) + seconds
    return max(sending, *running.values())


def fixed(which: LetterFilter, newest: str | None) -> LetterFilter:
    """Return a filter that does not take in what is written after now."""
    return replace(which, upto=newest or "")
