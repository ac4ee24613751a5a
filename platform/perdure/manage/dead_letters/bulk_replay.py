"""Replaying many dead letters: a durable built-in job that can be killed at any point and goes on where it was.

A letter is replayed once, because its replay and its change to ``replayed`` commit together; the job's checkpoint only
saves it from looking again at what it has passed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import asdict, replace

from perdure.errors import BulkheadFull, DeadLetterNotFound, InvalidArguments, ReplayRefused, UnknownBulkhead, UnknownTask
from perdure.ledger.dead_letters.replay import Replay
from perdure.model.dead_letter import OPEN, Actor, LetterFilter
from perdure.model.outcomes import Snooze
from perdure.model.records import DeadLetterRecord
from perdure.model.storage_errors import LetterUnopened
from perdure.running.context import JobContext

if TYPE_CHECKING:
    from perdure.ledger.dead_letters.letters import Letters
    from perdure.manage.dead_letters.replayer import Replayer

NAME = "perdure.replay"
#: Letters that one transaction replays at most.
PAGE = 100
#: Letters of those skipped that the result names.
EXAMPLES = 20
#: Seconds between two looks at how the replays fare, and the longest pause between two looks at canaries.
LOOK_EVERY, LONGEST_PAUSE = 1.0, 30.0
#: Replays that must have ended before their failure rate says anything.
ENOUGH = 10
#: A pause of more seconds than this is spent as a snooze, which holds no worker.
LONGEST_SLEEP = 2.0


class ReplayRequest(Struct, frozen=True):
    """What a bulk replay is to do; ``app.dead_letters.replay_many`` says what its fields mean."""

    which: LetterFilter
    by: str
    source: str
    rate: float | None = None
    canary: int = 0
    max_failure_rate: float | None = None
    to_bulkhead: str | None = None
    from_checkpoint: bool = False
    force: bool = False
    slow_start: bool = False
    halt_when_open: bool = False
    max_generation: int | None = None


class ReplayReport(Struct):
    """What a bulk replay has done: its checkpoint, and its result.

    Attributes:
        total: Letters that there were at its beginning.
        replayed: Letters that it replayed.
        skipped: Letters that it left as they were, by reason.
        examples: Some of these: ``letter_id`` and ``why``.
        halted: Why it stopped before its end; None when it did not.
        after: The last letter that it looked at.
        canary_passed: Whether the first few were seen to succeed.
        looks: Looks at canaries that had not ended.
    """

    total: int = 0
    replayed: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    examples: list[dict[str, str]] = field(default_factory=list)
    halted: str | None = None
    after: str | None = None
    canary_passed: bool = False
    looks: int = 0

    def skip(self, letter: DeadLetterRecord, reason: str, why: str) -> None:
        """Count a letter that is left as it was."""
        self.skipped[reason] = self.skipped.get(reason, 0) + 1
        if len(self.examples) < EXAMPLES:
            self.examples.append({"letter_id": letter.id, "why": why})


def bulk_replay_by(replayer: Callable[[], Replayer], letters: Letters) -> Callable[..., ReplayReport]:
    """Return the function of the task that replays many letters; ``replayer`` is called when it runs."""

    def replay_letters(ctx: JobContext, request: ReplayRequest) -> ReplayReport:
        """Replay the dead letters that a filter means."""
        return BulkReplay(replayer(), letters, ctx, request).run()

    return replay_letters


class BulkReplay:
    """One run of a bulk replay.

    Args:
        replayer: Makes new jobs of letters.
        letters: The letters.
        ctx: The job's context.
        request: What to do.
    """

    def __init__(self, replayer: Replayer, letters: Letters, ctx: JobContext, request: ReplayRequest) -> None:
        self._replayer = replayer
        self._letters = letters
        self._ctx, self._request = ctx, request
        self._actor = Actor(request.by, request.source)
        self._which = request.which if request.which.status or request.force else replace(request.which, status=OPEN)
        self._report = self._begun()
        self._rounds = 0
        self._next_look = 0.0

    def run(self) -> ReplayReport:
        """Replay what is left, and return what was done in all.

        Raises:
            Snooze: It is to wait for canaries or its next turn.
        """
        report = self._report
        while report.halted is None and self._may_go_on():
            started, size = time.monotonic(), self._size()
            page = self._letters.page(self._which, limit=size, after=report.after, oldest_first=True)
            if not page:
                break
            self._replay(page)
            self._save()
            self._rounds += 1
            self._pace(len(page), started)
        self._ctx.progress(self._looked_at if report.halted else report.total, report.total, report.halted or "done")
        outcome = {"replayed": report.replayed, "skipped": report.skipped or None, "halted": report.halted}
        self._letters.record(self._actor, "replay_many_ended", [{"job_id": self._ctx.job_id, **outcome}])
        return report

    @property
    def _looked_at(self) -> int:
        return self._report.replayed + sum(self._report.skipped.values())

    def _begun(self) -> ReplayReport:
        saved = self._ctx.checkpoint.load()
        if saved is None:
            report = ReplayReport(total=self._letters.count(self._which))
            self._ctx.checkpoint.save(asdict(report))
            return report
        # A run that was killed may have replayed letters after its last checkpoint.
        return replace(ReplayReport(**saved), replayed=self._letters.count_replayed(self._ctx.job_id))

    def _save(self) -> None:
        report = self._report
        self._ctx.progress(self._looked_at, report.total, f"{report.replayed} replayed")
        self._ctx.checkpoint.save(asdict(report))

    def _replay(self, page: list[DeadLetterRecord]) -> None:
        items = [item for letter in page if (item := self._prepared(letter)) is not None]
        if self._report.halted:
            return
        try:
            self._replayer.await_room(items)
        except BulkheadFull as full:
            raise Snooze(LOOK_EVERY, str(full)) from full
        try:
            self._write(items)
        except (ReplayRefused, DeadLetterNotFound):  # one of them was discarded or purged meanwhile
            for item in items:
                self._write_alone(item, next(letter for letter in page if letter.id == item.letter_id))
        self._report.after = page[-1].id

    def _prepared(self, letter: DeadLetterRecord) -> Replay | None:
        request = self._request
        if letter.status != OPEN and not request.force:
            self._report.skip(letter, letter.status, f"it is {letter.status}")
            return None
        if request.max_generation is not None and letter.generation >= request.max_generation:
            self._report.skip(letter, "boomerang", f"it was replayed {letter.generation} times before")
            return None
        breaker = None if request.force else self._replayer.open_breaker(letter)
        if breaker is not None:
            if request.halt_when_open:
                self._report.halted = f"the circuit breaker {breaker!r} is open"
            else:
                self._report.skip(letter, "breaker_open", f"the circuit breaker {breaker!r} is open")
            return None
        try:
            return self._replayer.prepare(letter, bulkhead=request.to_bulkhead, from_checkpoint=request.from_checkpoint)
        except (InvalidArguments, UnknownTask, UnknownBulkhead, LetterUnopened) as error:
            self._report.skip(letter, "does_not_fit", str(error))
            return None

    def _write(self, items: list[Replay]) -> None:
        if not items:
            return
        replayed = self._replayer.write(items, self._actor, batch=self._ctx.job_id, force=self._request.force)
        self._report.replayed += sum(result.is_new for result in replayed)

    def _write_alone(self, item: Replay, letter: DeadLetterRecord) -> None:
        try:
            self._write([item])
        except (ReplayRefused, DeadLetterNotFound) as error:
            self._report.skip(letter, "resolved_meanwhile", str(error))

    def _may_go_on(self) -> bool:
        """Look how the replays fare: canaries must succeed before the rest, and not too many may fail."""
        request, report = self._request, self._report
        if request.canary and not report.canary_passed:
            if report.replayed < request.canary:
                return True
            return self._canaries_succeeded()
        if request.max_failure_rate is None or time.monotonic() < self._next_look:
            return True
        self._next_look = time.monotonic() + LOOK_EVERY
        ended, dead = self._outcomes()
        if ended >= ENOUGH and dead > request.max_failure_rate * ended:
            report.halted = f"{dead} of {ended} replays failed, more than {request.max_failure_rate:.0%}"
        return report.halted is None

    def _canaries_succeeded(self) -> bool:
        report, limit = self._report, self._request.max_failure_rate or 0.0
        ended, dead = self._outcomes()
        if dead > limit * self._request.canary:
            report.halted = f"{dead} of the first {self._request.canary} replays failed"
            return False
        if ended < report.replayed:
            report.looks += 1
            self._save()
            raise Snooze(min(0.2 * 1.5**report.looks, LONGEST_PAUSE), "waiting for the first replays to end")
        report.canary_passed = True
        return True

    def _outcomes(self) -> tuple[int, int]:
        outcomes = self._letters.outcomes(self._ctx.job_id)
        dead = outcomes.get("dead", 0)
        return dead + outcomes.get("succeeded", 0) + outcomes.get("cancelled", 0), dead

    def _rate(self) -> float | None:
        if not self._request.slow_start:
            return self._request.rate
        return min(2.0 ** min(self._rounds, 20), self._request.rate or float(PAGE))

    def _size(self) -> int:
        rate, request, report = self._rate(), self._request, self._report
        size = PAGE if rate is None else max(1, min(PAGE, int(rate / 2)))
        if request.canary and not report.canary_passed:
            size = min(size, request.canary - report.replayed)
        return size

    def _pace(self, count: int, started: float) -> None:
        rate = self._rate()
        if rate is None:
            return
        pause = count / rate - (time.monotonic() - started)
        if pause > LONGEST_SLEEP:
            raise Snooze(pause, "waiting for its rate")
        time.sleep(max(0.0, pause))
