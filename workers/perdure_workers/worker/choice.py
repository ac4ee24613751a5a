"""Choosing what a child claims: the first jobs of its bulkhead that may run now."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from perdure.ledger.jobs.claim import NO_MARKS, PRIORITIES, SLACK, Claimer, Since, in_line
from perdure.ledger.jobs.lanes import LANES, Lane, Place
from perdure.model.lanes import PLAIN, REPLICAS, lane_of
from perdure.model.records import Claim
from perdure_workers.shared.pace import Pace

if TYPE_CHECKING:
    from perdure import Perdure

#: Claims of jobs between two looks for held-back lanes, in an application none of whose tasks has one: a job that was
#: claimed begins without one.
SELDOM = 16
#: Seconds for which a lane is passed by whose breaker or limit turned a job away that had been claimed.
TURNED_AWAY = 0.05
#: Seconds after which a worker that is barred from votes looks whether it is trusted again.
BARRED = 5.0
#: A claim that takes longer than so many seconds may have met rows that are dead and cannot be removed, as while somebody
#: holds a transaction open on PostgreSQL; on SQLite it waits for others, and there are none.
SLOW = {"postgresql": 0.01, "sqlite": float("inf")}
#: The next ones begin where it ended, for so many times as long as it took and no more than so many seconds, while that is
#: so many times faster.
REST, LONGEST_REST, FASTER = 50.0, 10.0, 1.2


#: Claims so many jobs from there on in one transaction with something else; may be called once only.
Along = Callable[[Claimer, int, Since], list[Claim]]


class Choice:
    """Claims for one child.

    Args:
        app: The application.
        by: The child.
    """

    def __init__(self, app: Perdure, by: Claimer) -> None:
        self._app = app
        self._by = by
        self._passed_until: dict[str, float] = {}
        self._claims = 0
        #: By priority, the place in line before which nobody waits; and when to read the line from its beginning again.
        self._places: dict[int, float] = {}
        self._whole = Pace(REST, LONGEST_REST, SLOW[app.ledger.database.dialect])
        #: Whether jobs may have been claimed that nobody has been given.
        self.in_doubt = True
        #: The lane at which the last look ended; empty when it came to the end.
        self._looked_to = ""
        #: Whether another child had the turn at the limits when the last look came to them.
        self._turn_was_taken = False
        #: Seconds after which it is worth asking again though nobody rings; None when somebody will.
        self.ask_again: float | None = None
        #: When the last claim was asked for, on the monotonic clock.
        self.asked_at = 0.0

    def claim(self, most: int, along: Along | None = None) -> list[Claim]:
        """Claim at most about ``most`` jobs and return them in line; their first place in line first.

        What was claimed before something failed is returned by the next call, which must be one of a child that holds
        nothing any more.

        Args:
            most: How many.
            along: What claims from the plain lane, for a child that settles its last ones with it.
        """
        self.ask_again, self.asked_at = None, time.monotonic()
        in_doubt, self.in_doubt = self.in_doubt, True
        claims = self._plain(most, along, in_doubt=in_doubt)
        self._claims += 1
        if not claims:
            claims = self._from_lanes(most)
        elif self._looks_at_lanes():
            claims += self._from_lanes(most, after=PLAIN, waits=False)
        self.in_doubt = False
        return sorted(claims, key=in_line)

    def claim_ahead(self, runs: Claim) -> list[Claim]:
        """Claim the next job of the plain lane for a child that still runs one of it, which is all that it holds.

        Nothing while others wait in lanes of their own, or an earlier claim is in doubt: that is for :meth:`claim`.
        """
        if self.in_doubt or (self._looks_at_lanes(1) and self._app.ledger.jobs.lanes(self._by.bulkhead, PLAIN, back=0.0)):
            return []
        self.in_doubt = True
        claims = self._plain(1, None, in_doubt=False)
        self._claims += 1
        self.in_doubt = False
        # A statement that was repeated, since its connection broke, finds what the child runs as well.
        return [claim for claim in claims if (claim.job_id, claim.fence) != (runs.job_id, runs.fence)]

    def pass_by(self, lane: str, seconds: float = TURNED_AWAY) -> None:
        """Leave a lane alone for a while."""
        self._passed_until[lane] = time.monotonic() + seconds
        self._ask_again_in(seconds)

    def _plain(self, most: int, along: Along | None, *, in_doubt: bool) -> list[Claim]:
        def read(since: Since) -> list[Claim]:
            if along is not None:
                return along(self._by, most, since)
            return self._app.ledger.jobs.claim(self._by, most, since=since, in_doubt=in_doubt)

        if self._whole.is_due:
            claims = self._whole.timed(lambda: read(NO_MARKS))
            self._places = {}
        else:
            began = time.monotonic()
            claims = read(self._places)
            if (time.monotonic() - began) * FASTER > self._whole.took:
                self._whole.end_rest()
        if claims and not in_doubt:
            self._places |= _places_after(claims, is_end=len(claims) < most)
        return claims

    def _from_lanes(self, most: int, after: str = "", *, waits: bool = True) -> list[Claim]:
        """Go on from the lane at which the last look ended, until some jobs are claimed or all lanes are looked at.

        Who has jobs in hand does not wait while another child has the turn at the limits: it comes again after them.
        """
        from_first, self._turn_was_taken = not self._looked_to, False
        while True:
            # Of the plain lane only what is not due is new here.
            lanes = self._app.ledger.jobs.lanes(self._by.bulkhead, self._looked_to or after, back=0.0)
            self._looked_to = lanes[-1].name if len(lanes) >= LANES else ""
            claims = self._held_back(lanes, most, waits=waits)
            if claims or self._turn_was_taken or (from_first and not self._looked_to):
                return claims
            from_first = from_first or not self._looked_to

    def _held_back(self, lanes: Sequence[Lane], most: int, *, waits: bool) -> list[Claim]:
        """Claim jobs of lanes that a breaker, a limit or their kind holds back, as far as these let any through."""
        moment = time.monotonic()
        ready = []
        for lane in lanes:
            if lane.waits > 0:
                self._ask_again_in(lane.waits)
            elif lane.name == PLAIN or (lane.limit_key is not None and lane.task not in self._by.tasks):
                continue  # a lane without a limit may have jobs of other tasks behind the first
            elif (wait := self._passed_until.get(lane.name, 0.0) - moment) > 0:
                self._ask_again_in(wait)
            else:
                ready.append(lane)
        limited = [lane for lane in ready if lane.limit_key is not None and self._lets_through(lane, 1)]
        claims = self._within_limits(limited, most, waits=waits) if limited else []
        share = max(1, most // max(1, len(ready)))
        for lane in ready:
            if lane.name == REPLICAS:
                claims += self._vote()
            elif lane.limit_key is None and (count := self._lets_through(lane, share)):
                claims += self._app.ledger.jobs.claim(self._by, count, lane.name)
        return claims

    def _vote(self) -> list[Claim]:
        """Claim a replica, unless this worker has been outvoted too often."""
        if self._app.workers.is_barred(self._by.worker_name):
            self.pass_by(REPLICAS, BARRED)
            return []
        return self._app.ledger.jobs.claim(self._by, 1, REPLICAS)

    def _lets_through(self, lane: Lane, most: int) -> int:
        """Return how many jobs of a lane its circuit breaker lets through now."""
        if lane.breaker is None:
            return most
        admitted = self._app.breakers[lane.breaker].admits(most)
        if admitted.count < most:
            self.pass_by(lane.name, admitted.wait)
        return admitted.count

    def _within_limits(self, lanes: Sequence[Lane], most: int, *, waits: bool) -> list[Claim]:
        bulkhead, limits = self._by.bulkhead, self._app.limits
        tasks = {lane.name: lane.task for lane in lanes}
        room = limits.admitted(bulkhead, lanes, self._app.ledger.jobs.running_within_limits(), most)
        started = self._tokens(_by_task(tasks, room))
        if not started.total():
            return []

        def admitted(lanes: Sequence[Lane], running: Mapping[Place, int]) -> Mapping[str, int]:
            # Of all lanes: those that had room may have been taken by others meanwhile, who choose in the same order.
            return _within_tokens(started, tasks, limits.admitted(bulkhead, lanes, running, most))

        claims = self._app.ledger.jobs.claim_within(self._by, lanes, admitted, waits=waits)
        self._turn_was_taken = claims is None
        claims = claims or []
        limits.served(lane_of(claim.task, limit_key=claim.limit_key, breaker=None) for claim in claims)
        for task, count in (started - Counter(claim.task for claim in claims)).items():
            limits.did_not_start(bulkhead, task, count)
        return claims

    def _tokens(self, wanted: Counter[str]) -> Counter[str]:
        """Return how many jobs of each task may start now by the limits per second, and take their tokens."""
        bulkhead, limits, granted = self._by.bulkhead, self._app.limits, Counter[str]()
        for task, count in wanted.items():
            granted[task] = limits.may_start(bulkhead, task, count)
            if granted[task] < count:
                self._ask_again_in(limits.next_token_in(bulkhead, task))
        return granted

    def _ask_again_in(self, seconds: float) -> None:
        self.ask_again = seconds if self.ask_again is None else min(self.ask_again, seconds)

    def _looks_at_lanes(self, more: int = 0) -> bool:
        """Return whether the last claim, or one so many after it, is one at which held-back lanes have their turn."""
        return self._has_lanes() or (self._claims + more) % SELDOM == 0

    def _has_lanes(self) -> bool:
        bulkhead = self._app.settings.bulkheads[self._by.bulkhead]
        if bulkhead.limit or bulkhead.rate:
            return True
        return any(task.breaker or task.limit or task.rate or task.replicas > 1 for task in self._app.tasks.values())


def _places_after(claims: Sequence[Claim], *, is_end: bool) -> dict[int, float]:
    """Return by priority the place in line before which nobody waits, after these were claimed.

    Args:
        claims: Claims of one statement, in line.
        is_end: Whether no other job could be claimed: then nobody waits at other priorities either.
    """
    moment = claims[0].started_at
    places = dict.fromkeys(PRIORITIES, moment) if is_end else {}
    places |= {claim.priority: claim.queued_at for claim in reversed(claims)}
    return {priority: min(place, moment - SLACK) for priority, place in places.items()}


def _by_task(tasks: Mapping[str, str], room: Mapping[str, int]) -> Counter[str]:
    """Return how many jobs of each task are to start, given those of each lane."""
    found = Counter[str]()
    for lane, count in room.items():
        found[tasks[lane]] += count
    return found


def _within_tokens(tokens: Counter[str], tasks: Mapping[str, str], room: Mapping[str, int]) -> Counter[str]:
    """Return how many jobs of each lane may start that has room, with so many tokens for each task."""
    left, found = tokens.copy(), Counter[str]()
    for lane, count in room.items():
        found[lane] = min(count, left[tasks[lane]])
        left[tasks[lane]] -= found[lane]
    return found
