"""A child's shift: it waits to be woken, claims a slice of jobs, runs and settles them, until its worker drains."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from perdure.errors import LedgerUnavailable
from perdure.ledger.jobs.claim import Claimer, Since
from perdure.ledger.jobs.settle import Ending, Settled
from perdure.manage.cancelling import OF_CANCELLED
from perdure.model.job_log import Chunk
from perdure.model.metrics import BELLS_MISSED
from perdure.model.records import RELEASED, Claim, Settlement
from perdure.model.states import Transition
from perdure.system.tracing import flush
from perdure_workers.monitoring.tally_writer import WAIT, TallyWriter
from perdure_workers.recovery.outage import until_the_ledger_is_back
from perdure_workers.worker.choice import Choice
from perdure_workers.worker.execute import Attempt, Executor, undescribed
from perdure_workers.worker.expected import Expected
from perdure_workers.worker.job_events import JobEvents
from perdure_workers.worker.missed_bells import MissedBells
from perdure_workers.worker.slice import BUDGET, LONGEST, Ended, Slice, SliceKeeper, SliceSize

if TYPE_CHECKING:
    from perdure import Perdure
    from perdure_workers.recovery.incarnation import Incarnation
    from perdure_workers.shared.shared import Shared

logger = logging.getLogger("perdure.shift")

#: Seconds that a child waits to be woken, at most, before it looks by itself.
LONGEST_WAIT = 30.0
SHORTEST_WAIT = 0.002
#: Seconds after a slice that failed: what is wrong with one is wrong with the next, and each is logged.
AFTER_FAILURE = 1.0
#: Seconds that a child gives its spans at its end.
FLUSH_TIMEOUT = 5.0
#: Seconds by which the last two jobs of a task may differ where the end of its next one is foreseen. So about every second
#: claim ahead is of use where jobs take 80 to 120 ms; what the others claim is given back.
SPREAD = 0.03
#: Seconds between two bells for other workers while there is more than this child can take: they look as often themselves.
RING_EVERY = 1.0


class Shift:
    """The life of one child.

    Args:
        app: The application.
        worker: Whose child this is.
        shared: What it shares with its main process.
        index: The child's number.
    """

    def __init__(self, app: Perdure, worker: Incarnation, shared: Shared, index: int) -> None:
        self._app = app
        self._worker_id = worker.id
        self._bulkhead = worker.bulkhead
        self._shared = shared
        shared.slots.take(index, os.getpid())
        self._choice = Choice(app, Claimer(worker.bulkhead, worker.id, worker.name, os.getpid(), tuple(app.tasks)))
        self._executor = Executor(app, shared.draining, shared.time_limits.of)
        self._events = JobEvents(app, worker.name)
        app.tally.take()  # what the main process had counted is its own to tell
        self._tally = TallyWriter(app, WAIT)
        self._keeper = SliceKeeper(lambda: logger.exception("a slice's keeper goes on after an error"))
        self._size = SliceSize()
        self._expected = Expected()
        self._rung_at = 0.0
        #: The moment at which a job is due that this child has put off, on the monotonic clock.
        self._due_at = float("inf")
        self._missed_bells = MissedBells(
            lambda: shared.wakeups.heard_at, lambda: app.tally.add(BELLS_MISSED, worker.bulkhead)
        )

    def run(self) -> None:
        """Work until the worker drains."""
        self._events.start()
        self._tally.start()
        self._keeper.start()
        while not self._shared.draining():
            try:
                self._serve()
                if not self._shared.draining():
                    self._shared.wakeups.wait(self._idle_for())
            except Exception:
                logger.exception("a slice failed; its jobs are taken back")
                time.sleep(AFTER_FAILURE)
        self._shared.wakeups.post()  # the next one may be asleep
        self._executor.close()
        self._events.stop()
        self._tally.stop()
        _quietly(lambda: flush(FLUSH_TIMEOUT))

    def _serve(self) -> None:
        """Claim and run slice after slice, until there is nothing to claim or the worker drains."""
        self._shared.slots.hold()
        try:
            claims = self._claim()
            while claims:
                claims = self._next(self._work(claims))
        finally:
            self._shared.slots.rest()
            self._missed_bells.is_idle()

    def _claim(self) -> Sequence[Claim]:
        return until_the_ledger_is_back(lambda: self._choice.claim(self._most()))

    def _most(self) -> int:
        """Return how many jobs to claim now."""
        if time.monotonic() >= self._due_at:
            self._due_at = float("inf")  # what was put off is among them
        return self._size()

    def _work(self, claims: Sequence[Claim]) -> Slice:
        """Run a slice; what is left is to settle its last jobs."""
        asked_at = self._choice.asked_at
        is_told = self._missed_bells.is_told(claims, asked_at)
        if len(claims) >= self._size():
            self._wake_others(ring=is_told)
        began = time.monotonic()
        held = Slice(claims, self._settle, asked_at + self._app.settings.lease_ttl, self._claim_ahead)
        self._keeper.watch(held)
        try:
            while not self._shared.draining() and (claim := held.next()) is not None:
                self._make_way(held, claim)
                held.add(claim, self._run(claim))
        except BaseException:
            held.let_go()
            raise
        finally:
            self._keeper.watch(None)
        if held.begun:
            # Without the time that the ledger takes: the slower it is, the more it helps to settle many at once.
            self._size.learn(held.begun, time.monotonic() - began)
        return held

    def _make_way(self, held: Slice, claim: Claim) -> None:
        """See to it that a job takes nobody with it, and nobody waits for it; behind a long one claim the next in time."""
        if not claim.crashes:
            if self._expected(claim.task) <= BUDGET:
                return
            takes = self._expected.nearly(claim.task, SPREAD) if claim.is_plain else None
            if takes is not None and takes <= LONGEST and held.expect(claim, takes):
                self._keeper.watch(held)
                return
        _quietly(held.let_go)

    def _claim_ahead(self, runs: Claim) -> Sequence[Claim]:
        """Claim the next job while one runs: nothing where that fails, or the worker drains."""
        if self._shared.draining():
            return ()
        try:
            claims = self._choice.claim_ahead(runs)
        except Exception as error:  # noqa: BLE001 - the next claim is one in doubt
            logger.info("the next job is claimed when the one before it has ended: %s", error)
            return ()
        if claims:
            self._shared.wakeups.post()
        return claims

    def _next(self, held: Slice) -> Sequence[Claim]:
        """Settle a slice and return the next one, claimed in the same transaction unless something is in the way."""
        self._missed_bells.is_idle()
        if self._shared.draining():
            held.let_go()
            return ()
        claims = held.let_go(partial(self._settle, goes_on=True))
        return self._claim() if claims is None else claims

    def _run(self, claim: Claim) -> Attempt:
        attempt = self._executor(claim, self._began)
        self._shared.slots.hold()
        self._expected.learn(claim.task, attempt.ran)
        if attempt.settlement.transition is Transition.RELEASE:
            self._choice.pass_by(attempt.lane)
        if attempt.unfit:
            self._give_up_node(attempt.settlement.error or "")
        return attempt

    def _give_up_node(self, reason: str) -> None:
        """Have the worker drain, before the job is queued again: no child of this node shall claim it."""
        self._shared.draining.ask()
        _quietly(lambda: self._say_unfit(reason))

    def _say_unfit(self, reason: str) -> None:
        if (event := self._app.ledger.workers.declare_unfit(self._worker_id, reason)) is not None:
            self._app.workers.emit(event)

    def _began(self, claim: Claim, limit: float | None) -> None:
        self._shared.slots.begin(claim.job_id, claim.fence, claim.task, limit)
        _quietly(lambda: self._events.began(claim))

    def _settle(self, ended: Sequence[Ended], rest: Sequence[Claim], *, goes_on: bool = False) -> Sequence[Claim] | None:
        """Settle what ended and give back the rest; return what was claimed along with that.

        None if nothing could be: what is given back is there for the next claim only.
        """
        endings: list[Ending] = [(claim, one.settlement) for claim, one in ended if not one.is_settled]
        endings += [(claim, RELEASED) for claim in rest]
        said = [one.said for _, one in ended if one.said is not None]
        goes_on = goes_on and bool(endings) and not (rest or self._choice.in_doubt)
        settled, claims = self._settled_along(endings, said) if goes_on else (None, None)
        if settled is None:
            settled = until_the_ledger_is_back(lambda: self._settled(endings, said)) if endings or said else Settled()
        if rest:
            self._shared.wakeups.post()
        for lost in settled.lost.values():
            logger.warning("%s", lost)
        before = [(claim, one.settlement) for claim, one in ended if one.is_settled]
        for claim, settlement in (*before, *settled.written(endings)):
            if settlement.transition is not Transition.RELEASE:
                _quietly(partial(self._tell, claim, settlement))
        return claims

    def _settled_along(
        self, endings: Sequence[Ending], said: Sequence[Chunk]
    ) -> tuple[Settled | None, Sequence[Claim] | None]:
        """Settle and claim in one transaction. Of what fails it returns None, and the next claim is one in doubt."""
        settled: Settled | None = None

        def along(by: Claimer, most: int, since: Since) -> list[Claim]:
            nonlocal settled
            settled, claims = self._app.ledger.jobs.settle_and_claim(endings, said, by, most, since)
            return claims

        try:
            claims = self._choice.claim(self._most(), along)
        except Exception as error:  # noqa: BLE001 - each of the two is tried by itself, and says what is wrong
            logger.info("a slice is settled before the next one is claimed: %s", error)
            return settled, None
        return settled, claims

    def _settled(self, endings: Sequence[Ending], said: Sequence[Chunk] = ()) -> Settled:
        """Settle; what the ledger refuses to write of one job must not hold up the others, nor leave it running."""
        try:
            return self._app.ledger.jobs.settle_all(endings, said)
        except LedgerUnavailable:
            raise
        except Exception as error:
            if said:
                settled = self._settled(endings)
                _quietly(lambda: self._app.ledger.jobs.write_logs(said))
                return settled
            if len(endings) > 1:
                return Settled.together(self._settled([ending]) for ending in endings)
            [(claim, _)] = endings
            logger.exception("the outcome of %s %s cannot be written", claim.task, claim.job_id)
            return self._app.ledger.jobs.settle_all([(claim, undescribed(claim, error))])

    def _tell(self, claim: Claim, settlement: Settlement) -> None:
        self._note_due(settlement)
        _quietly(lambda: self._events.ended(claim, settlement))
        if settlement.transition is Transition.CANCEL:
            _quietly(lambda: self._app.jobs.cancel_replicas(claim.job_id, OF_CANCELLED))
        if settlement.transition is Transition.LOSE:  # its node is unfit: others are to have it at once
            _quietly(lambda: self._app.bells.ring(self._bulkhead))
        if claim.replica_of is not None:
            until_the_ledger_is_back(lambda: self._app.ledger.running.wake(str(claim.replica_of)))

    def _note_due(self, settlement: Settlement) -> None:
        if settlement.delay is not None and settlement.delay < LONGEST_WAIT:
            self._due_at = min(self._due_at, time.monotonic() + settlement.delay)

    def _idle_for(self) -> float:
        waits = [LONGEST_WAIT, self._due_at - time.monotonic()]
        if self._choice.ask_again is not None:
            waits.append(self._choice.ask_again)
        return max(SHORTEST_WAIT, min(waits))

    def _wake_others(self, *, ring: bool) -> None:
        """Wake a sibling at once, and another worker now and then: there is more than this child can take."""
        self._shared.wakeups.post()
        moment = time.monotonic()
        if ring and moment - self._rung_at > RING_EVERY:
            self._rung_at = moment
            self._app.bells.ring(self._bulkhead)


def _quietly(work: Callable[[], object]) -> None:
    """Do what must not change the outcome of a job, nor of those that come after it."""
    try:
        work()
    except Exception:
        logger.exception("a child goes on after an error")
