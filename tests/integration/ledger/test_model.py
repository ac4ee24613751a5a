"""The ledger's transitions against a tiny model: whatever is done in whatever order, both agree, on both databases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from perdure.errors import LeaseLost
from perdure.ids import new_id
from perdure.ledger import Ledger
from perdure.ledger.records import Claim, Death, NewJob, Settlement
from perdure.states import DeadReason, JobState, Outcome, Transition

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
}
AFTER = {
    "succeed": "succeeded",
    "retry": "retrying",
    "retry later": "retrying",
    "snooze": "retrying",
    "hand back": "queued",
    "lose": "queued",
    "die": "dead",
    "cancel": "cancelled",
}


@dataclass
class Job:
    """What the model knows of a job."""

    state: str
    due: bool = False
    attempt: int = 0
    fence: int = 0
    crashes: int = 0
    snoozes: int = 0
    checkpoints: int = 0
    letters: int = 0
    outcomes: list[str] = field(default_factory=list)


class LedgerMachine(RuleBasedStateMachine):
    """Does what submitters, workers, supervisors and operators do."""

    ledger: Ledger

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, Job] = {}
        #: Every claim ever made: old ones are zombies.
        self.claims: list[Claim] = []
        self.settled: dict[tuple[str, int], str] = {}

    @initialize()
    def workers(self) -> None:
        self.worker = new_id()
        row = {"id": self.worker, "name": self.worker, "bulkhead": "normal", "host": "h", "pid": 1, "concurrency": 1}
        self.ledger.register_worker({**row, "lease_ttl": 5.0, "lock_path": None})
        for _ in range(2):
            self.submit_one(None)

    @precondition(lambda self: len(self.model) < 3)  # few jobs, so that old claims and new ones of one job meet
    @rule(delay=st.sampled_from([None, None, 3600.0]))
    def submit(self, delay: float | None) -> None:
        self.submit_one(delay)

    def submit_one(self, delay: float | None) -> None:
        job = NewJob(new_id(), "t", "normal", "[]", "{}", "d", delay=delay)
        [submitted] = self.ledger.submit([job])
        self.model[submitted.id] = Job("queued" if delay is None else "scheduled")

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        waiting = sorted(job_id for job_id, model in self.model.items() if model.state == "queued")
        self.claim_one(data.draw(st.sampled_from(waiting or sorted(self.model))))

    def claim_one(self, job_id: str) -> None:
        pid = len(self.claims) + 1000
        claim = self.ledger.claim(job_id, self.worker, "w", pid)
        model = self.model[job_id]
        assert (claim is not None) == (model.state == "queued")
        if claim is not None:
            model.state, model.fence, model.attempt = "running", model.fence + 1, model.attempt + 1
            assert (claim.fence, claim.attempt, claim.crashes) == (model.fence, model.attempt, model.crashes)
            self.claims.append(claim)

    @rule(data=st.data())
    def take_over(self, data: st.DataObject) -> None:
        """Lose a running job and claim it anew: its old claim is a zombie's from then on."""
        job_id = data.draw(st.sampled_from(sorted(self.model)))
        self.claim_one(job_id)
        if self.model[job_id].state == "running":
            held = next(claim for claim in self.claims if claim.job_id == job_id and self._holds(claim))
            self.ledger.settle(held, ENDS["lose"])
            self._settle_model(self.model[job_id], "lose", ENDS["lose"])
            self.settled[job_id, held.fence] = ENDS["lose"].outcome
            self.claim_one(job_id)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), how=st.sampled_from([*ENDS, "lose", "hand back", "lose", "hand back"]))
    def settle(self, data: st.DataObject, how: str) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        model, settlement = self.model[claim.job_id], ENDS[how]
        key = (claim.job_id, claim.fence)
        if self._holds(claim):
            letter = self.ledger.settle(claim, settlement)
            assert (letter is not None) == (how == "die")
            self._settle_model(model, how, settlement)
            self.settled[key] = settlement.outcome
        elif self.settled.get(key) == settlement.outcome:
            self.ledger.settle(claim, settlement)  # a repeat of what was recorded has no effect and is no error
        else:
            with pytest.raises(LeaseLost):
                self.ledger.settle(claim, settlement)

    @staticmethod
    def _settle_model(model: Job, how: str, settlement: Settlement) -> None:
        model.state = AFTER[how]
        model.due = how in ("retry", "snooze")
        model.attempt -= 0 if settlement.burns else 1
        model.crashes += how == "lose"
        model.snoozes += how == "snooze"
        model.letters += how == "die"
        model.outcomes.append(settlement.outcome)

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def checkpoint(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        model = self.model[claim.job_id]
        if self._holds(claim):
            seq, _ = self.ledger.save_checkpoint(claim.job_id, claim.fence, "main", b"1", model.checkpoints)
            model.checkpoints += 1
            assert seq == model.checkpoints
        else:
            with pytest.raises(LeaseLost):
                self.ledger.save_checkpoint(claim.job_id, claim.fence, "main", b"0", model.checkpoints)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.model)))
        model = self.model[job_id]
        state = self.ledger.cancel(job_id, "test")
        if JobState(model.state).is_final:
            assert state is None
            return
        if model.state != "running":
            model.state = "cancelled"
        assert state == model.state

    @rule()
    def queue_due(self) -> None:
        moved = {ticket.id for ticket in self.ledger.queue_due(1000)}
        due = {job_id for job_id, model in self.model.items() if model.state == "retrying" and model.due}
        assert moved & set(self.model) == due
        for job_id in due:
            self.model[job_id].state = "queued"

    @rule()
    def send_tickets(self) -> None:
        for ticket in self.ledger.take_unticketed(1000):
            assert ticket.id not in self.model or self.model[ticket.id].state == "queued"

    @invariant()
    def ledger_and_model_agree(self) -> None:
        for job_id, model in self.model.items():
            record = self.ledger.job(job_id)
            found = (record.state, record.attempt, record.fence, record.crashes, record.snoozes, record.checkpoint_seq)
            expected = (model.state, model.attempt, model.fence, model.crashes, model.snoozes, model.checkpoints)
            assert found == expected
            assert [attempt.outcome for attempt in self.ledger.attempts(job_id)] == model.outcomes
            assert (record.dead_letter_id is not None) == (model.state == "dead")

    def _holds(self, claim: Claim) -> bool:
        model = self.model[claim.job_id]
        return model.state == "running" and model.fence == claim.fence


def test_ledger_behaves_like_its_model(ledger_url: str) -> None:
    ledger = Ledger(ledger_url)
    ledger.upgrade()
    machine: Any = type("Machine", (LedgerMachine,), {"ledger": ledger})
    profile = settings(
        max_examples=80, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    run_state_machine_as_test(machine, settings=profile)
    ledger.close()
