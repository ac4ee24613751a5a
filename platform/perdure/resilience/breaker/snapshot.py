"""Reads a breaker's state for people: pure functions of the state and the time."""

from __future__ import annotations

from typing import Literal, cast

from perdure.resilience.breaker.admission import share
from perdure.resilience.breaker.config import BreakerConfig, BreakerState
from perdure.resilience.breaker.events import BreakerSnapshot, Override
from perdure.resilience.breaker.machine import MachineState, live_permits, retry_after_ms
from perdure.resilience.breaker.window import add_to_window


def effective_state(state: MachineState, now_ms: int) -> BreakerState:
    """Return the state as a caller would meet it."""
    if state.state == "open" and 0 <= state.until_ms <= now_ms:
        return BreakerState.HALF_OPEN
    return BreakerState(state.state)


def wait_ms(config: BreakerConfig, state: MachineState, now_ms: int) -> int:
    """Return how long a caller would have to wait, in milliseconds."""
    return retry_after_ms(config.numbers, state, now_ms)


def snapshot(name: str, config: BreakerConfig, state: MachineState, now_ms: int, *, shared: bool) -> BreakerSnapshot:
    """Return everything worth showing of a state."""
    _, window = add_to_window(config.numbers, state.window, now_ms, "")
    return BreakerSnapshot(
        name=name,
        state=effective_state(state, now_ms),
        shared=shared,
        reason=state.reason,
        since=state.changed_at_ms / 1000 if state.changed_at_ms else None,
        next_probe_in=wait_ms(config, state, now_ms) / 1000,
        override=_override(state, now_ms),
        failures_in_a_row=state.streak,
        window_calls=window.calls,
        window_failures=window.failures,
        window_slow=window.slow,
        trials_under_way=_trials(state, now_ms),
        openings_in_succession=state.openings,
        slow_start=share(config, state, now_ms),
        successes=state.successes,
        failures=state.failures,
        slow_calls=state.slow,
        rejected=state.rejected,
        opened=state.opened,
        late=state.late,
        repaired=state.repaired,
    )


def _override(state: MachineState, now_ms: int) -> Override | None:
    over = 0 < state.override_until_ms <= now_ms
    if not state.override or over:
        return None
    return Override(
        kind=cast(Literal["open", "closed"], state.override),
        by=state.override_by,
        reason=state.override_reason,
        until=state.override_until_ms / 1000 if state.override_until_ms else None,
    )


def _trials(state: MachineState, now_ms: int) -> int:
    return len(live_permits(state, now_ms))
