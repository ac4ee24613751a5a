"""What holds for every sequence of events, checked on the pure machine by many callers that live and die."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from perdure.resilience.breaker.config import BreakerConfig
from perdure.resilience.breaker.machine import Decision, MachineState, enter, record, retry_after_ms
from support.thorough import part_of

pytestmark = pytest.mark.slow

CONFIG = BreakerConfig(failure_threshold=2, recovery_timeout=1, max_recovery_timeout=4, half_open_permits=2)
NUMBERS = CONFIG.numbers


class BreakerRules(RuleBasedStateMachine):
    """Callers enter, and later succeed, fail or die; time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.state, self.now, self.count = MachineState(), 1_000_000, 0
        self.under_way: list[Decision] = []
        self.trials: list[int] = []

    def enter(self) -> Decision:
        self.count += 1
        self.state, decision = enter(NUMBERS, self.state, self.now, f"t{self.count}")
        if decision.token:
            self.trials.append(self.now)
        return decision

    def record(self, call: Decision, outcome: str) -> Decision:
        self.state, decision = record(
            NUMBERS, self.state, self.now, generation=call.generation, token=call.token, outcomes=outcome
        )
        return decision

    @rule()
    def a_call_begins(self) -> None:
        before = self.state
        decision = self.enter()
        if decision.admitted:
            self.under_way.append(decision)
            assert before.state == "closed" or decision.token, "while it is not closed only trial calls go"
        else:
            assert decision.state != "closed"

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), outcome=st.sampled_from("sf"))
    def a_call_ends(self, data: st.DataObject, outcome: str) -> None:
        before = self.state
        call = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        decision = self.record(call, outcome)
        if decision.change and decision.change.to_state == "closed":
            assert (before.state, outcome) == ("half_open", "s")
        if call.generation != before.generation:
            assert decision.change is None, "what began in another generation changes nothing"

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def a_caller_dies(self, data: st.DataObject) -> None:
        self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))

    @rule()
    def the_service_fails_everybody(self) -> None:
        """A shortcut to an open breaker, which random steps find rarely."""
        for _ in range(3):
            call = self.enter()
            if call.admitted:
                self.record(call, "f")

    @rule()
    def the_service_is_well_again(self) -> None:
        """A shortcut to a closed one, if its trial calls are not taken by others."""
        self.now += self.enter().retry_after_ms
        for _ in range(3):
            call = self.enter()
            if call.admitted:
                self.record(call, "s")

    @rule(ms=st.sampled_from([1, 300, 999, 1000, 5000]))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @rule(ms=st.sampled_from([400, 600, 900]))
    def probers_die(self, ms: int) -> None:
        """All permits are taken by callers that are never heard of again."""
        self.now += self.enter().retry_after_ms
        for _ in range(CONFIG.half_open_permits):
            self.enter()
        self.now += ms

    @invariant()
    def no_more_trial_calls_than_permits_in_a_recovery_period(self) -> None:
        """Invariant 6, dead callers included: in no stretch of one recovery timeout, while it did not close."""
        since_closed = [at for at in self.trials if at >= self.state.closed_at_ms]
        if self.state.state == "closed":
            return
        for first, last in zip(since_closed, since_closed[CONFIG.half_open_permits :], strict=False):
            assert last - first >= NUMBERS.recovery_ms

    @invariant()
    def it_is_never_stuck(self) -> None:
        """Waiting as long as it says, again and again, gets a call through, and successes close it."""
        saved = (self.state, self.now, self.count, list(self.trials))
        for _ in range(200):
            if self.state.state == "closed":
                break
            call = self.enter()
            if call.admitted:
                self.record(call, "s")
            else:
                assert call.retry_after_ms == retry_after_ms(NUMBERS, self.state, self.now) > 0
                self.now += call.retry_after_ms
        assert self.state.state == "closed"
        self.state, self.now, self.count, self.trials = saved


BreakerRules.TestCase.settings = settings(max_examples=part_of(200), stateful_step_count=40, deadline=None)
TestBreakerRules = BreakerRules.TestCase


def test_calls_that_began_before_the_last_closing_change_nothing() -> None:
    state = MachineState()
    for _ in range(2):
        state, _ = record(NUMBERS, state, 0, generation=0, token="", outcomes="f")
    assert state.state == "open"
    for token in ("t1", "t2"):
        state, trial = enter(NUMBERS, state, 1000, token)
        state, _ = record(NUMBERS, state, 1000, generation=trial.generation, token=token, outcomes="s")
    assert state.state == "closed"
    for _ in range(5):
        state, _ = record(NUMBERS, state, 1001, generation=0, token="", outcomes="f")
    assert (state.state, state.streak, state.late) == ("closed", 0, 5)
