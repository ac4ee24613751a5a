"""Checks that the configurations of all patterns share."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from perdure.errors import SettingsError


def check_numbers(
    what: str,
    config: msgspec.Struct,
    *,
    above_zero: Iterable[str] = (),
    from_zero: Iterable[str] = (),
    from_one: Iterable[str] = (),
) -> None:
    """Refuse numbers of a configuration that no call could mean; None, which leaves a part out, is none of them.

    Args:
        what: How the message calls the configuration.
        config: The configuration.
        above_zero: Its fields that must be greater than 0.
        from_zero: Those that may be 0 as well.
        from_one: Those that must be 1 or more.

    Raises:
        SettingsError: A number is not finite or too small; the message names all that are.
    """
    numbers = {name: value for name, value in msgspec.structs.asdict(config).items() if isinstance(value, (int, float))}
    problems = [f"{name} must be a finite number" for name, value in numbers.items() if not math.isfinite(value)]
    problems += [f"{name} must be above 0" for name in above_zero if numbers.get(name, 1) <= 0]
    problems += [f"{name} must not be below 0" for name in from_zero if numbers.get(name, 1) < 0]
    problems += [f"{name} must be 1 or more" for name in from_one if numbers.get(name, 1) < 1]
    if problems:
        raise SettingsError(f"{what}: {'; '.join(problems)}")


def check_above_zero(what: str, seconds: float) -> None:
    """Refuse seconds that no call could mean.

    Raises:
        SettingsError: It is not finite or not above 0.
    """
    if not (math.isfinite(seconds) and seconds > 0):
        raise SettingsError(f"{what} must be a finite number above 0, not {seconds!r}")
