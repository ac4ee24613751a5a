"""The built-in job ``perdure.replay``: replays many dead letters, and goes on where it was when its worker dies.

What it has done is in the letters themselves: each says as which job it was replayed, written together with that job. The
checkpoint only saves it from looking at the same letters again.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from perdure.context import JobContext
from perdure.control import Snooze
from perdure.errors import InvalidArguments, ReplayRefused, UnknownBulkhead, UnknownTask
from perdure.ledger.letter_filters import LetterFilters
from perdure.ledger.records import DeadLetterRecord
from perdure.states import JobState

if TYPE_CHECKING:
    from perdure.app import Perdure

BULK_REPLAY = "perdure.replay"
BULKHEAD = "background"
#: Letters between two checkpoints, or about so many seconds where a rate makes them fewer.
PAGE = 50
SECONDS = 1.0
#: Letters that could not be replayed that the result lists.
LISTED = 20
#: Seconds between two looks at whether the canaries are done. The job waits as a row in the ledger and holds no worker.
CANARY_POLL = 1.0
#: The newest replays whose outcomes make the failure rate, and how many of them must have ended for it to mean something.
WATCHED, ENOUGH = 200, 10


@dataclass(frozen=True, slots=True)
class BulkReplay:
    """What to replay, and how; see :meth:`perdure.dead_letters.DeadLetters.replay_many`."""

    filters: dict[str, Any]
    rate: float | None = None
    canary: int = 0
    max_failure_rate: float = 0.5
    limit: int | None = None
    bulkhead: str | None = None
    from_checkpoint: bool = False
    force: bool = False
    by: str = "python"


@dataclass(slots=True)
class Done:
    """What a bulk replay has done.

    Attributes:
        after: The id of the letter that it looked at last.
        replayed: Letters that it replayed.
        skipped: Letters that could not be replayed.
        refused: The first of these, with the reason.
        newest: The jobs of the newest replays.
        stopped: Why it ended before its end; empty when it did not.
        canaries_passed: Whether the rest may follow.
    """

    after: str | None = None
    replayed: int = 0
    skipped: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    newest: list[str] = field(default_factory=list)
    stopped: str = ""
    canaries_passed: bool = False


def register_bulk_replay(app: Perdure) -> None:
    """Add the job to an application, once; workers, and whoever submits it, do."""
    if BULK_REPLAY in app.tasks:
        return

    def replay_letters(ctx: JobContext, how: BulkReplay) -> dict[str, Any]:
        """Replay the dead letters that match."""
        return _Run(app, ctx, how)()

    app.register(replay_letters, name=BULK_REPLAY, bulkhead=BULKHEAD, retry="standard", priority=7)


class _Run:
    def __init__(self, app: Perdure, ctx: JobContext, how: BulkReplay) -> None:
        self._app, self._ctx, self._how = app, ctx, how
        self._done = Done(**ctx.checkpoint.load(default={}))
        self._filters = how.filters | ({"tag": tuple(how.filters["tag"])} if "tag" in how.filters else {})
        self._page_size = PAGE if how.rate is None else max(1, min(PAGE, int(how.rate * SECONDS)))
        self._next_at = 0.0
        self._total = 0.0

    def __call__(self) -> dict[str, Any]:
        done, how = self._done, self._how
        self._count_what_the_last_checkpoint_missed()
        matching = self._app.ledger.count_dead_letters(LetterFilters(**self._filters)) + done.replayed
        self._total = matching if how.limit is None else min(matching, how.limit)
        if how.canary and not done.canaries_passed:
            while not done.stopped and done.replayed < how.canary and self._replay_page(how.canary - done.replayed):
                continue
            self._judge_canaries()
        while not done.stopped and self._replay_page(PAGE):
            self._judge_newest()
        self._ctx.progress(done.replayed, done.replayed if not done.stopped else self._total, done.stopped)
        result = {"replayed": done.replayed, "skipped": done.skipped, "refused": done.refused, "stopped": done.stopped}
        self._app.ledger.audit_dead_letters("replay_many_ended", how.by, {"job": self._ctx.job_id, **result})
        return result

    @property
    def _by(self) -> str:
        return f"{self._how.by[:200]} (job {self._ctx.job_id})"

    def _count_what_the_last_checkpoint_missed(self) -> None:
        """Count the letters that this job replayed before its worker died, which are not open any more."""
        wanted = {name: value for name, value in self._filters.items() if name != "status"}
        missed = self._app.ledger.dead_letters(limit=PAGE, after=self._done.after, oldest_first=True, **wanted)
        for letter in missed:
            if letter.replayed_by == self._by and letter.replayed_as is not None:
                self._count(letter.replayed_as)

    def _replay_page(self, most: int) -> bool:
        """Replay a few letters and save how far that is; return whether there may be more."""
        how, done = self._how, self._done
        room = most if how.limit is None else min(most, how.limit - done.replayed)
        size = min(room, self._page_size)
        page = (
            self._app.ledger.dead_letters(limit=size, after=done.after, oldest_first=True, **self._filters)
            if size > 0
            else []
        )
        for letter in page:
            self._wait_for_rate()
            if not self._replay(letter):
                break
            done.after = letter.id
        self._save()
        return bool(page)

    def _replay(self, letter: DeadLetterRecord) -> bool:
        how, done, letters = self._how, self._done, self._app.dead_letters
        try:
            if not how.force:
                letters.breakers.check(letter)
            # Not with the force of a single replay: what was replayed before the worker died is not replayed again.
            job = letters.run_again(
                letter, by=self._by, bulkhead=how.bulkhead, from_checkpoint=how.from_checkpoint, force=False
            )
        except ReplayRefused as error:
            done.stopped = str(error)
            return False
        except (InvalidArguments, UnknownTask, UnknownBulkhead) as error:
            done.skipped += 1
            if len(done.refused) < LISTED:
                done.refused[letter.id] = str(error)[:500]
        else:
            self._count(job.id)
        return True

    def _count(self, job_id: str) -> None:
        self._done.replayed += 1
        self._done.newest = [*self._done.newest[1 - WATCHED :], job_id]

    def _save(self) -> None:
        self._ctx.checkpoint.save(asdict(self._done))
        self._ctx.progress(self._done.replayed, self._total)

    def _judge_canaries(self) -> None:
        """Let the rest follow when enough canaries succeeded; come back later when they are not done."""
        done = self._done
        if done.stopped:
            return
        states = self._app.ledger.job_states(done.newest)
        if not all(state.is_final for state in states.values()):
            raise Snooze(CANARY_POLL)
        done.canaries_passed = self._accept(list(states.values()), 1)
        self._save()

    def _judge_newest(self) -> None:
        states = self._app.ledger.job_states(self._done.newest).values()
        self._accept([state for state in states if state.is_final], ENOUGH)

    def _accept(self, ended: list[JobState], enough: int) -> bool:
        failed = sum(state is not JobState.SUCCEEDED for state in ended)
        if len(ended) >= enough and failed / len(ended) > self._how.max_failure_rate:
            self._done.stopped = (
                f"{failed} of {len(ended)} replays failed, more than max_failure_rate={self._how.max_failure_rate:g} allows"
            )
            return False
        return True

    def _wait_for_rate(self) -> None:
        if self._how.rate is None:
            return
        moment = time.monotonic()
        if self._next_at > moment:
            time.sleep(self._next_at - moment)
        self._next_at = max(self._next_at, moment) + 1.0 / self._how.rate
