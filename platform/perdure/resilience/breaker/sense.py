"""Reads a breaker's state from its hash in Redis and makes sense of it, whatever somebody wrote there.

What makes no sense is replaced by what a breaker begins with, so that no value that is there by mistake or malice stops
jobs for ever. Its twin is ``lua/breaker_sense.lua``; a test runs both on the same hashes.
"""

from __future__ import annotations

import re

from perdure.resilience.breaker.config import MachineConfig
from perdure.resilience.breaker.machine import MachineState
from perdure.resilience.redis.lua_scripts import text

DAY_MS = 86_400_000
"""What another process, with another configuration, may have put off for so long is not doubted."""

MOST_OPENINGS = 1000
"""The recovery time stopped growing long before."""

LONGEST_NUMBER = 15
"""Digits of what Lua's numbers hold exactly."""

LARGEST = 250_000_000_000_000
"""No counter reaches it; as a time in milliseconds it still has a year of four digits."""

_TEXTS = [name for name, kind in MachineState.__annotations__.items() if kind == "str"]
_NUMBERS = [name for name, kind in MachineState.__annotations__.items() if kind == "int"]
_WHOLE = re.compile(r"0|-?[1-9][0-9]*")
_BUCKET = re.compile(r"([0-9]+):([0-9]+):([0-9]+):([0-9]+)")
_PERMIT = re.compile(r"([^:,]+):([0-9]+)")


def state_from(flat: list[bytes | str], config: MachineConfig, now_ms: int) -> tuple[MachineState, list[str]]:
    """Return the state that a hash holds, and the names of the fields that made no sense.

    Args:
        flat: HGETALL's reply as a script returns it (field, value, field, value...).
        config: the breaker's configuration.
        now_ms: Redis' time.
    """
    raw = dict(zip(map(text, flat[::2]), map(text, flat[1::2]), strict=True))
    state, odd = MachineState(), []
    for name in _TEXTS:
        setattr(state, name, raw.get(name, getattr(state, name)))
    for name in _NUMBERS:
        number = whole(raw.get(name, "0"), -1 if name == "until_ms" else 0)
        setattr(state, name, number or 0)
        odd += [name] if number is None else []
    odd = sorted([*odd, *_make_sense(config, state, now_ms)])
    state.repaired = ", ".join(odd) or state.repaired
    return state, odd


def whole(value: str, least: int) -> int | None:
    """Return the whole number that a text is, from ``least`` to ``LARGEST``, or None for all else."""
    if not _WHOLE.fullmatch(value) or len(value) > LONGEST_NUMBER + 1:
        return None
    number = int(value)
    return number if least <= number <= LARGEST else None


def _make_sense(config: MachineConfig, state: MachineState, now_ms: int) -> list[str]:
    """Change a state until it makes sense; returns the names of the fields that made none.

    What can come about by itself is changed without a word: a window of another kind, a time ahead of a clock that was
    set back, more trial calls passed than are wanted now.
    """
    before = {name: getattr(state, name) for name in _TEXTS + _NUMBERS}
    state.state = state.state if state.state in ("closed", "open", "half_open") else "closed"
    state.override = state.override if state.override in ("", "open", "closed") else ""
    longest = max(config.max_recovery_ms, DAY_MS)
    if state.recovery_ms > longest:
        state.recovery_ms = config.recovery_ms
    state.permits = _sensible_permits(state.permits, now_ms + max(longest, config.permit_lease_ms))
    state.until_ms = _sensible_until(config, state, now_ms)
    odd = [name for name, value in before.items() if getattr(state, name) != value]
    state.window, fine = _sensible_window(config, state.window)
    odd += [] if fine else ["window"]
    for name in ("last_failure_ms", "closed_at_ms", "changed_at_ms"):
        setattr(state, name, min(getattr(state, name), now_ms))
    state.openings = min(state.openings, MOST_OPENINGS)
    state.passed = min(state.passed, config.half_open_permits - 1)
    return odd


def _sensible_window(config: MachineConfig, window: str) -> tuple[str, bool]:
    """Return the window, empty when it is of the kind that is not configured, and whether all of it made sense."""
    if not window.strip("sSfF"):
        return window if config.window == "count" else "", True
    buckets = [bucket for bucket in _BUCKET.findall(window) if max(map(len, bucket)) <= LONGEST_NUMBER]
    found = ",".join(":".join(bucket) for bucket in buckets)
    return found if config.window == "time" else "", found == window


def _sensible_permits(permits: str, latest: int) -> str:
    """Return the permits without those that would be held for ever."""
    found = _PERMIT.findall(permits)
    return ",".join(f"{token}:{at}" for token, at in found if len(at) <= LONGEST_NUMBER and int(at) <= latest)


def _sensible_until(config: MachineConfig, state: MachineState, now_ms: int) -> int:
    """Return when a trial call may go: not after the override's end or a recovery time; now when that makes no sense."""
    if state.state != "open":
        return state.until_ms
    if state.override == "open":
        ends = state.override_until_ms
        if ends == 0:
            return -1 if state.until_ms > now_ms else state.until_ms
        return state.until_ms if 0 <= state.until_ms <= ends else ends
    longest = max(state.recovery_ms, config.max_recovery_ms)
    return state.until_ms if 0 <= state.until_ms <= now_ms + longest else now_ms
