"""Choosing what a child claims: the first jobs of its bulkhead that may run now."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from perdure.ledger.jobs.claim import NO_MARKS, Claimer, in_line
from perdure.ledger.jobs.lanes import LANES, Lane
from perdure.model.lanes import PLAIN, REPLICAS, lane_of
from perdure.model.records import Claim

if TYPE_CHECKING:
    from perdure import Perdure

#: Claims between two looks for held-back lanes, in an application none of whose tasks has one.
SELDOM = 16
#: Seconds for which a lane is passed by whose breaker or limit turned a job away that had been claimed.
TURNED_AWAY = 0.05
#: A claim that takes longer than so many seconds has met rows that are dead and cannot be removed, as while somebody holds
#: a transaction open on PostgreSQL. The next ones begin where it ended, for so many times as long as it took.
SLOW = 0.01
REST = 20
#: Seconds by which rows may come in behind others that have an earlier place in line.
SLACK = 1.0


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
        #: By priority, where the first job was that was claimed last, and when to read the line from its beginning again.
        self._places: dict[int, float] = {}
        self._read_all_at = 0.0
        #: Whether jobs may have been claimed that nobody has been given.
        self._in_doubt = True
        #: The lane at which the last look ended; empty when it came to the end.
        self._looked_to = ""
        #: Seconds after which it is worth asking again though nobody rings; None when somebody will.
        self.ask_again: float | None = None

    def claim(self, most: int) -> list[Claim]:
        """Claim at most about ``most`` jobs and return them in line; their first place in line first.

        What was claimed before something failed is returned by the next call.
        """
        self.ask_again = None
        in_doubt, self._in_doubt = self._in_doubt, True
        claims = self._plain(most, in_doubt=in_doubt)
        self._claims += 1
        if len(claims) < most:
            claims += self._from_lanes(most)
        elif self._has_lanes() or self._claims % SELDOM == 0:
            claims += self._from_lanes(most, after=PLAIN)
        self._in_doubt = False
        return sorted(claims, key=in_line)

    def pass_by(self, lane: str, seconds: float = TURNED_AWAY) -> None:
        """Leave a lane alone for a while."""
        self._passed_until[lane] = time.monotonic() + seconds
        self._ask_again_in(seconds)

    def _plain(self, most: int, *, in_doubt: bool) -> list[Claim]:
        began = time.monotonic()
        since = self._places if began < self._read_all_at else NO_MARKS
        claims = self._app.ledger.claim(self._by, most, since=since, in_doubt=in_doubt)
        took = time.monotonic() - began
        if len(claims) < most:
            self._read_all_at = 0.0
        elif since is NO_MARKS and took > SLOW:
            self._read_all_at = began + REST * took
        if since is NO_MARKS:
            self._places = {}  # nothing is known of priorities that were not reached
        self._places |= {claim.priority: claim.queued_at - SLACK for claim in reversed(claims)}
        return claims

    def _from_lanes(self, most: int, after: str = "") -> list[Claim]:
        """Go on from the lane at which the last look ended, until some jobs are claimed or all lanes are looked at."""
        from_first = not self._looked_to
        while True:
            lanes = self._app.ledger.lanes(self._by.bulkhead, self._looked_to or after)
            self._looked_to = lanes[-1].name if len(lanes) >= LANES else ""
            claims = self._held_back(lanes, most)
            if claims or (from_first and not self._looked_to):
                return claims
            from_first = from_first or not self._looked_to

    def _held_back(self, lanes: Sequence[Lane], most: int) -> list[Claim]:
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
        claims = self._within_limits(limited) if limited else []
        share = max(1, most // max(1, len(ready)))
        for lane in ready:
            if lane.name == REPLICAS:
                claims += self._app.ledger.claim(self._by, 1, lane.name)
            elif lane.limit_key is None and (count := self._lets_through(lane, share)):
                claims += self._app.ledger.claim(self._by, count, lane.name)
        return claims

    def _lets_through(self, lane: Lane, most: int) -> int:
        """Return how many jobs of a lane its circuit breaker lets through now."""
        if lane.breaker is None:
            return most
        admitted = self._app.breakers[lane.breaker].admits(most)
        if admitted.count < most:
            self.pass_by(lane.name, admitted.wait)
        return admitted.count

    def _within_limits(self, lanes: Sequence[Lane]) -> list[Claim]:
        bulkhead, limits = self._by.bulkhead, self._app.limits
        room = limits.admitted(bulkhead, lanes, self._app.ledger.running_within_limits())
        started = self._tokens(Counter(lane.task for lane in lanes if room.get(lane.name)))
        left, wanted = started.copy(), []
        for lane in lanes:
            if room.get(lane.name) and left[lane.task]:
                left[lane.task] -= 1
                wanted.append(lane)
        if not wanted:
            return []
        claims = self._app.ledger.claim_within(
            self._by, wanted, lambda lanes, running: limits.admitted(bulkhead, lanes, running)
        )
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

    def _has_lanes(self) -> bool:
        bulkhead = self._app.settings.bulkheads[self._by.bulkhead]
        if bulkhead.limit or bulkhead.rate:
            return True
        return any(task.breaker or task.limit or task.rate or task.replicas > 1 for task in self._app.tasks.values())
