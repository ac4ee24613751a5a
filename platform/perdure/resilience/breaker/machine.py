"""The circuit breaker's state machine: pure functions of (configuration, state, time, event).

Its twin is ``lua/breaker_machine.lua``, which runs inside Redis so that each step is atomic across processes. This one
serves the process-local fallback, and a test runs the same events through both and compares every state and decision.
Times are integer milliseconds; randomness (the permit's token) is passed in.

Outcomes are letters, so that many fit into one short argument: ``s`` success, ``S`` slow success, ``f`` failure,
``F`` slow failure.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from perdure.resilience.breaker.config import MachineConfig
from perdure.resilience.breaker.window import add_to_window, tally

FAILURES = "fF"


class MachineState(Struct):
    """One breaker's state. Field names are those of the hash in Redis."""

    state: str = "closed"
    generation: int = 0
    """Grows with each change of state, so that results of calls that began before it are told apart."""
    window: str = ""
    streak: int = 0
    last_failure_ms: int = 0
    openings: int = 0
    """Openings in quick succession; the recovery time grows with it."""
    until_ms: int = 0
    """While open: when a trial call may go. -1: not before somebody resets it."""
    recovery_ms: int = 0
    closed_at_ms: int = 0
    changed_at_ms: int = 0
    reason: str = ""
    permits: str = ""
    """Trial calls under way: ``token:expiry,token:expiry``."""
    passed: int = 0
    override: str = ""
    override_until_ms: int = 0
    override_by: str = ""
    override_reason: str = ""
    successes: int = 0
    failures: int = 0
    slow: int = 0
    rejected: int = 0
    opened: int = 0
    late: int = 0
    """Outcomes that came too late to matter: their call began in another generation, or its permit was given away."""
    repaired: str = ""
    """Fields that made no sense when they were read last (see :mod:`.breaker_sense`), until the next reset."""


class Change(Struct, frozen=True):
    """One change of state."""

    from_state: str
    to_state: str
    at_ms: int
    reason: str
    by: str = ""


class Decision(Struct, frozen=True):
    """What the machine answers."""

    admitted: bool
    state: str
    generation: int
    token: str
    retry_after_ms: int
    streak: int
    now_ms: int
    until_ms: int
    recovery_ms: int
    change: Change | None = None


def enter(
    config: MachineConfig,
    state: MachineState,
    now_ms: int,
    token: str,
    *,
    generation: int = 0,
    outcomes: str = "",
) -> tuple[MachineState, Decision]:
    """Decide whether a call may go ahead, after counting the ``outcomes`` that the caller had not reported yet."""
    state = replace(state)
    first = _record(config, state, now_ms, generation, "", outcomes)
    admitted, permit, second = _enter(config, state, now_ms, token)
    return state, _decide(config, state, now_ms, admitted=admitted, token=permit, change=second or first)


def record(
    config: MachineConfig, state: MachineState, now_ms: int, *, generation: int, token: str, outcomes: str
) -> tuple[MachineState, Decision]:
    """Count the outcomes of calls that began in ``generation``; ``token`` is the permit of a trial call."""
    state = replace(state)
    change = _record(config, state, now_ms, generation, token, outcomes)
    return state, _decide(config, state, now_ms, change=change)


def command(
    config: MachineConfig,
    state: MachineState,
    now_ms: int,
    name: str,
    lasts_ms: int = 0,
    by: str = "",
    reason: str = "",
) -> tuple[MachineState, Decision]:
    """Apply ``force_open``, ``force_closed``, ``reset``, or ``carry`` (take over an opening seen elsewhere)."""
    state = replace(state)
    change = _command(config, state, now_ms, name, lasts_ms, by, reason)
    return state, _decide(config, state, now_ms, change=change)


def free(config: MachineConfig, state: MachineState, now_ms: int, who: str) -> tuple[MachineState, Decision]:
    """Give back trial permits without a verdict: the one with the token ``who``, or all that the holder ``who`` has."""
    state = replace(state)
    permits = _permits(state)
    others = {token: expiry for token, expiry in permits.items() if token != who and not token.endswith(f"@{who}")}
    state.permits = _format_permits(others)
    return state, _decide(config, state, now_ms)


def retry_after_ms(config: MachineConfig, state: MachineState, now_ms: int) -> int:
    """Return how long a rejected caller should wait.

    While a trial call is under way its verdict is near: a tenth of the recovery time, not the whole lease.
    """
    if state.state == "closed":
        return 0
    if state.state == "open":
        return config.recovery_ms if state.until_ms < 0 else max(0, state.until_ms - now_ms)
    if free_permits(config, state, now_ms) > 0:
        return 0
    look = max(1, config.recovery_ms // 10)
    return min([expiry - now_ms for expiry in live_permits(state, now_ms).values()] + [look])


def live_permits(state: MachineState, now_ms: int) -> dict[str, int]:
    """Return the trial calls under way: the end of each one's lease by its token."""
    return {token: expiry for token, expiry in _permits(state).items() if expiry > now_ms}


def free_permits(config: MachineConfig, state: MachineState, now_ms: int) -> int:
    """Return how many more trial calls may go now, in a breaker that is half open or has its recovery time behind it."""
    if state.state == "open":
        return config.half_open_permits
    return config.half_open_permits - len(live_permits(state, now_ms)) - state.passed


def _decide(
    config: MachineConfig,
    state: MachineState,
    now_ms: int,
    *,
    admitted: bool = True,
    token: str = "",
    change: Change | None = None,
) -> Decision:
    return Decision(
        admitted=admitted,
        state=state.state,
        generation=state.generation,
        token=token,
        retry_after_ms=retry_after_ms(config, state, now_ms),
        streak=state.streak,
        now_ms=now_ms,
        until_ms=state.until_ms,
        recovery_ms=state.recovery_ms,
        change=change,
    )


def _shift(state: MachineState, to: str, now_ms: int, reason: str, by: str = "") -> Change:
    change = Change(state.state, to, now_ms, reason, by)
    state.state, state.generation, state.changed_at_ms, state.reason = to, state.generation + 1, now_ms, reason
    state.permits, state.passed = "", 0
    if to == "closed":
        state.window, state.streak, state.closed_at_ms, state.until_ms = "", 0, now_ms, 0
    elif to == "open":
        state.opened += 1
    return change


def _open(config: MachineConfig, state: MachineState, now_ms: int, reason: str) -> Change:
    if state.state == "closed" and (state.closed_at_ms == 0 or now_ms - state.closed_at_ms >= state.recovery_ms):
        state.openings = 0  # it held for as long as the last recovery took: this trouble is a new one
    state.openings += 1
    state.recovery_ms = _grown_recovery_ms(config, state.openings)
    state.until_ms = now_ms + state.recovery_ms
    return _shift(state, "open", now_ms, reason)


def _grown_recovery_ms(config: MachineConfig, openings: int) -> int:
    ms = config.recovery_ms
    for _ in range(2, openings + 1):
        if ms == config.max_recovery_ms:
            break
        ms = min(int(ms * config.growth), config.max_recovery_ms)
    return ms


def _expire_override(state: MachineState, now_ms: int) -> None:
    if state.override and 0 < state.override_until_ms <= now_ms:
        state.override, state.override_until_ms, state.override_by, state.override_reason = "", 0, "", ""


def _permits(state: MachineState) -> dict[str, int]:
    pairs = (item.split(":") for item in state.permits.split(",") if item)
    return {token: int(expiry) for token, expiry in pairs}


def _format_permits(permits: dict[str, int]) -> str:
    return ",".join(f"{token}:{expiry}" for token, expiry in permits.items())


def _take_permit(state: MachineState, token: str) -> bool:
    permits = _permits(state)
    found = permits.pop(token, None) is not None
    state.permits = _format_permits(permits)
    return found


def _enter(config: MachineConfig, state: MachineState, now_ms: int, token: str) -> tuple[bool, str, Change | None]:
    _expire_override(state, now_ms)
    if state.state == "closed":
        return True, "", None
    change = None
    if state.state == "open" and 0 <= state.until_ms <= now_ms:
        change = _shift(state, "half_open", now_ms, "recovery timeout over")
    if state.state == "half_open":
        permits = live_permits(state, now_ms)
        state.permits = _format_permits(permits)
        if free_permits(config, state, now_ms) > 0:
            lease = config.permit_lease_ms if config.permit_lease_ms > 0 else max(state.recovery_ms, config.recovery_ms)
            state.permits = _format_permits(permits | {token: now_ms + lease})
            return True, token, change
    state.rejected += 1
    return False, "", change


def _record(
    config: MachineConfig, state: MachineState, now_ms: int, generation: int, token: str, outcomes: str
) -> Change | None:
    _expire_override(state, now_ms)
    if not outcomes:
        return None
    count = tally(outcomes)
    state.successes += count.calls - count.failures
    state.failures += count.failures
    state.slow += count.slow
    if (
        generation != state.generation
        or state.state == "open"
        or (state.state == "half_open" and not _take_permit(state, token))
    ):
        state.late += count.calls
        return None
    if state.state == "half_open":
        return _record_trial(config, state, now_ms, outcomes[-1])
    _add_to_streak(config, state, now_ms, outcomes)
    state.window, count = add_to_window(config, state.window, now_ms, outcomes)
    if state.override == "closed":
        return None
    reason = _tripped(config, state.streak, count.calls, count.failures, count.slow)
    return _open(config, state, now_ms, reason) if reason else None


def _record_trial(config: MachineConfig, state: MachineState, now_ms: int, outcome: str) -> Change | None:
    if outcome in FAILURES:
        return _open(config, state, now_ms, "trial call failed")
    if outcome == "S" and config.slow_rate > 0:
        return _open(config, state, now_ms, "trial call was slow")
    state.passed += 1
    if state.passed >= config.half_open_permits:
        return _shift(state, "closed", now_ms, "trial calls succeeded")
    return None


def _add_to_streak(config: MachineConfig, state: MachineState, now_ms: int, outcomes: str) -> None:
    if config.window == "time" and now_ms - state.last_failure_ms >= config.window_size:
        state.streak = 0
    for outcome in outcomes:
        if outcome in FAILURES:
            state.streak, state.last_failure_ms = state.streak + 1, now_ms
        else:
            state.streak = 0


def _tripped(config: MachineConfig, streak: int, calls: int, failures: int, slow: int) -> str | None:
    if config.failure_threshold > 0:
        if config.consecutive:
            if streak >= config.failure_threshold:
                return f"{streak} failures in a row"
        elif failures >= config.failure_threshold:
            return f"{failures} failures in the window"
    if calls < config.minimum_calls:
        return None
    if config.failure_rate > 0 and failures >= config.failure_rate * calls:
        return f"{failures} of {calls} calls failed"
    if config.slow_rate > 0 and slow >= config.slow_rate * calls:
        return f"{slow} of {calls} calls were slow"
    return None


def _set_override(state: MachineState, kind: str, now_ms: int, lasts_ms: int, by: str, reason: str) -> None:
    state.override, state.override_by, state.override_reason = kind, by, reason
    state.override_until_ms = now_ms + lasts_ms if lasts_ms > 0 else 0


def _command(
    config: MachineConfig, state: MachineState, now_ms: int, name: str, lasts_ms: int, by: str, reason: str
) -> Change | None:
    _expire_override(state, now_ms)
    if name == "force_open":
        change = _shift(state, "open", now_ms, reason, by)
        # When it ends a trial call decides, as after any other opening.
        state.until_ms = now_ms + lasts_ms if lasts_ms > 0 else -1
        _set_override(state, "open", now_ms, lasts_ms, by, reason)
        return change
    if name == "force_closed":
        _set_override(state, "closed", now_ms, lasts_ms, by, reason)
        return _shift(state, "closed", now_ms, reason, by)
    if name == "reset":
        _set_override(state, "", now_ms, 0, "", "")
        state.openings, state.recovery_ms, state.last_failure_ms, state.repaired = 0, 0, 0, ""
        return _shift(state, "closed", now_ms, reason, by)
    if name == "carry" and state.state == "closed" and not state.override:
        change = _open(config, state, now_ms, reason)
        state.until_ms = now_ms + lasts_ms
        return change
    return None
