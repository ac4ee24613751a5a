"""The ledger's transitions against a tiny model: whatever is done in whatever order, both agree, on both databases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from perdure.errors import LeaseLost
from perdure.ledger import Ledger
from perdure.ledger.jobs.claim import Claimer
from perdure.model.ids import new_id
from perdure.model.lanes import PLAIN, lane_of
from perdure.model.new_job import NewJob
from perdure.model.records import RELEASED, Claim, Death, Settlement
from perdure.model.states import DeadReason, JobState, Outcome, Transition
from support.thorough import part_of

pytestmark = pytest.mark.slow

DEATH = Death(DeadReason.EXHAUSTED, "f")
ENDS = {
    "succeed": Settlement(Transition.SUCCEED, Outcome.SUCCEEDED, result="1"),
    "retry": Settlement(Transition.RETRY, Outcome.FAILED, delay=0.0, error="e"),
    "retry later": Settlement(Transition.RETRY, Outcome.FAILED, delay=3600.0, error="e"),
    "snooze": Settlement(Transition.SNOOZE, Outcome.SNOOZED, burns=False, delay=0.0),
    "hand back": Settlement(Transition.HAND_BACK, Outcome.HANDED_BACK, burns=False),
    "lose": Settlement(Transition.LOSE, Outcome.CRASHED, error="lost"),
    "die": Settlement(Transition.DIE, Outcome.FAILED, error="e", death=DEATH),
    "cancel": Settlement(Transition.CANCEL, Outcome.CANCELLED),
    "release": RELEASED,
}
AFTER = {
    "succeed": "succeeded",
    "retry": "queued",  # its time has come at once, and so it is seen
    "retry later": "retrying",
    "snooze": "queued",
    "hand back": "queued",
    "lose": "queued",
    "die": "dead",
    "cancel": "cancelled",
    "release": "queued",
}
WAITING = ("scheduled", "queued", "retrying")
OFTEN = ["lose", "hand back", "release"]
#: Breaker and limit key of the jobs of a lane.
LANES: list[tuple[str | None, str | None]] = [(None, None), (None, None), ("b", None), (None, "k")]


@dataclass
class Job:
    """What the model knows of a job; ``state`` is the one that people see."""

    state: str
    lane: str
    priority: int
    expired: bool = False
    attempt: int = 0
    fence: int = 0
    crashes: int = 0
    snoozes: int = 0
    checkpoints: int = 0
    letters: int = 0
    #: Whether somebody asked for its end while it ran.
    is_to_stop: bool = False
    #: Its place in line when it was claimed last.
    place: float = 0.0
    outcomes: list[str] = field(default_factory=list)

    @property
    def may_run(self) -> bool:
        return self.state == "queued" and not self.expired


class LedgerMachine(RuleBasedStateMachine):
    """Does what submitters, workers, supervisors and operators do."""

    ledger: Ledger

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, Job] = {}
        #: Every claim ever made: old ones are zombies.
        self.claims: list[Claim] = []
        self.settled: dict[tuple[str, int], str | None] = {}
        self.paused = False

    @initialize()
    def workers(self) -> None:
        self.worker = new_id()
        self.bulkhead = f"b-{self.worker}"
        row = {"id": self.worker, "name": self.worker, "bulkhead": self.bulkhead, "host": "h", "pid": 1, "concurrency": 1}
        self.ledger.workers.register({**row, "lease_ttl": 5.0, "lock_path": None})
        for _ in range(2):
            self.submit_one(None, 5, (None, None), expired=False)

    @precondition(lambda self: len(self.model) < 4)  # few jobs, so that old claims and new ones of one job meet
    @rule(
        delay=st.sampled_from([None, None, 3600.0]),
        priority=st.sampled_from([0, 5, 9]),
        lane=st.sampled_from(LANES),
        expired=st.sampled_from([False] * 5 + [True]),
    )
    def submit(self, delay: float | None, priority: int, lane: tuple[str | None, str | None], expired: bool) -> None:
        self.submit_one(delay, priority, lane, expired)

    def submit_one(self, delay: float | None, priority: int, lane: tuple[str | None, str | None], expired: bool) -> None:
        breaker, key = lane
        job = NewJob(
            new_id(), "t", self.bulkhead, "[]", "{}", "d",
            priority=priority, delay=delay, breaker=breaker, limit_key=key, deadline=1.0 if expired else None,
        )  # fmt: skip
        [submitted] = self.ledger.jobs.submit([job])
        state = "queued" if delay is None else "scheduled"
        self.model[submitted.id] = Job(state, lane_of("t", limit_key=key, breaker=breaker), priority, expired)

    @rule(most=st.sampled_from([1, 1, 2, 9]), lane=st.sampled_from([*LANES, LANES[0]]))
    def claim(self, most: int, lane: tuple[str | None, str | None]) -> None:
        self.claim_from(lane_of("t", limit_key=lane[1], breaker=lane[0]), most)

    def claim_from(self, lane: str, most: int) -> list[Claim]:
        waiting = {job_id: job for job_id, job in self.model.items() if job.may_run and job.lane == lane}
        places = {job_id: self._place(job_id) for job_id in waiting}
        by = Claimer(self.bulkhead, self.worker, "w", len(self.claims) + 1000, ("t",))
        claims = self.ledger.jobs.claim(by, most, lane)
        assert len(claims) == (0 if self.paused else min(most, len(waiting)))
        line = [(claim.priority, claim.queued_at) for claim in claims]
        assert line == sorted(line)
        left = [places[job_id] for job_id in waiting if job_id not in {claim.job_id for claim in claims}]
        assert not claims or not left or max(places[claim.job_id] for claim in claims) <= min(left)
        for claim in claims:
            model = waiting[claim.job_id]
            model.state, model.fence, model.attempt = "running", model.fence + 1, model.attempt + 1
            model.place = claim.queued_at
            assert (claim.fence, claim.attempt, claim.crashes) == (model.fence, model.attempt, model.crashes)
        self.claims += claims
        return claims

    @rule(most=st.sampled_from([1, 9]))
    def take_over(self, most: int) -> None:
        """Lose running jobs and claim them anew: their old claims are zombies' from then on."""
        for claim in self.claim_from(PLAIN, most):
            self.settle_one(claim, "lose")
        self.claim_from(PLAIN, 9)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), how=st.sampled_from([*ENDS, *OFTEN]))
    def settle(self, data: st.DataObject, how: str) -> None:
        self.settle_one(data.draw(st.sampled_from(self.claims)), how)

    def settle_one(self, claim: Claim, how: str) -> None:
        if self._is_refused(claim, how):
            with pytest.raises(LeaseLost):
                self.ledger.jobs.settle(claim, ENDS[how])
            return
        holds = self._holds(claim)
        letter = self.ledger.jobs.settle(claim, ENDS[how])
        if holds:
            assert (letter is not None) == (how == "die")
            self._settle_model(claim, how)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), hows=st.lists(st.sampled_from([*ENDS, *OFTEN]), min_size=1, max_size=4))
    def settle_slice(self, data: st.DataObject, hows: list[str]) -> None:
        """Settle several jobs at once; some of the claims are stale."""
        drawn = data.draw(st.lists(st.sampled_from(self.claims), min_size=1, max_size=4, unique_by=lambda c: c.job_id))
        endings = list(zip(drawn, hows, strict=False))
        refused = {claim.job_id for claim, how in endings if self._is_refused(claim, how)}
        holding = [(claim, how) for claim, how in endings if self._holds(claim)]
        assert set(self.ledger.jobs.settle_all([(claim, ENDS[how]) for claim, how in endings]).lost) == refused
        for claim, how in holding:
            self._settle_model(claim, how)

    def _is_refused(self, claim: Claim, how: str) -> bool:
        """Whether a settlement is an error: its fence is stale, and it is no repeat of what was recorded."""
        outcome = ENDS[how].outcome
        return not self._holds(claim) and outcome is not None and self.settled.get((claim.job_id, claim.fence)) != outcome

    def _settle_model(self, claim: Claim, how: str) -> None:
        model, settlement = self.model[claim.job_id], ENDS[how]
        model.state = "cancelled" if model.is_to_stop and AFTER[how] in WAITING else AFTER[how]
        model.attempt -= 0 if settlement.burns else 1
        model.crashes += how == "lose"
        model.snoozes += how == "snooze"
        model.letters += how == "die"
        if settlement.outcome is not None:
            model.outcomes.append(settlement.outcome)
            self.settled[claim.job_id, claim.fence] = settlement.outcome
        if how in ("release", "hand back", "lose") and model.state == "queued":
            assert self._place(claim.job_id) == (model.priority, model.place)

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def checkpoint(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        model = self.model[claim.job_id]
        if self._holds(claim):
            seq, _ = self.ledger.running.save_checkpoint(claim.job_id, claim.fence, "main", b"1", model.checkpoints)
            model.checkpoints += 1
            assert seq == model.checkpoints
        else:
            with pytest.raises(LeaseLost):
                self.ledger.running.save_checkpoint(claim.job_id, claim.fence, "main", b"0", model.checkpoints)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.model)))
        model = self.model[job_id]
        state = self.ledger.jobs.cancel(job_id, "test")
        if JobState(model.state).is_final:
            assert state is None
            return
        if model.state == "running":
            model.is_to_stop = True
        else:
            model.state = "cancelled"
        assert state == model.state

    @rule(data=st.data())
    def bring_forward(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.model)))
        model = self.model[job_id]
        waits = model.state in ("scheduled", "retrying")
        assert self.ledger.jobs.bring_forward(job_id) == (self.bulkhead if waits else None)
        model.state = "queued" if waits else model.state

    @rule()
    def bury_expired(self) -> None:
        buried = {event.job_id for event in self.ledger.jobs.bury_expired(1000)}
        expired = {job_id for job_id, model in self.model.items() if model.expired and model.state in WAITING}
        assert buried & set(self.model) == expired
        for job_id in expired:
            self.model[job_id].state = "dead"

    @rule()
    def pause_or_resume(self) -> None:
        if self.paused:
            self.ledger.bulkheads.resume(self.bulkhead)
        else:
            self.ledger.bulkheads.pause(self.bulkhead, "ann", "")
        self.paused = not self.paused

    @invariant()
    def ledger_and_model_agree(self) -> None:
        for job_id, model in self.model.items():
            record = self.ledger.jobs.get(job_id)
            found = (record.state, record.attempt, record.fence, record.crashes, record.snoozes, record.checkpoint_seq)
            expected = (model.state, model.attempt, model.fence, model.crashes, model.snoozes, model.checkpoints)
            assert found == expected
            assert [attempt.outcome for attempt in self.ledger.jobs.attempts(job_id)] == model.outcomes
            assert (record.dead_letter_id is not None) == (model.state == "dead")
            assert (record.run_at is not None) == (model.state in WAITING)

    @invariant()
    def what_waits_is_counted(self) -> None:
        if self.model:
            queued = sum(model.state == "queued" for model in self.model.values())
            assert self.ledger.jobs.depth(self.bulkhead, 100) == queued

    def _place(self, job_id: str) -> tuple[int, float]:
        with self.ledger.transaction() as connection:
            row = connection.exec_driver_sql(f"SELECT priority, run_at FROM perdure_jobs WHERE id = '{job_id}'").one()
            return row.priority, row.run_at

    def _holds(self, claim: Claim) -> bool:
        model = self.model[claim.job_id]
        return model.state == "running" and model.fence == claim.fence


@pytest.mark.timeout(600)  # thousands of small commits: a busy disk makes them slow
def test_ledger_behaves_like_its_model(ledger_url: str) -> None:
    ledger = Ledger(ledger_url)
    ledger.upgrade()
    machine: Any = type("Machine", (LedgerMachine,), {"ledger": ledger})
    profile = settings(
        max_examples=part_of(40),
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    run_state_machine_as_test(machine, settings=profile)
    ledger.close()
