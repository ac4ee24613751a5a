"""When a group of primary and backups replaces its primary by itself, and by whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from perdure.ledger.running.replicated_log import MemberState
from perdure.resilience.config_checks import check_numbers

#: Who promoted, where nobody did.
BY_ITSELF = "failover"


class GroupFailover(Struct, frozen=True, kw_only=True):
    """When a group promotes a backup by itself. Times are in seconds.

    Args:
        failure_threshold: Failures of the primary in a row, of operations and checks in all processes.
        expected: Errors of operations that are the member's failures; others are the operation's own.
        check_interval: Between two checks of all members, by any supervisor.
        check_timeout: How long one member's check may take; then it has failed.

    Raises:
        SettingsError: A number is out of range.
    """

    failure_threshold: int = 3
    expected: tuple[type[Exception], ...] = (OSError,)
    check_interval: float = 5.0
    check_timeout: float = 2.0

    def __post_init__(self) -> None:
        check_numbers("failover", self, above_zero=("check_interval", "check_timeout"), from_one=("failure_threshold",))


def successor(
    order: Sequence[str], primary: str, states: Mapping[str, MemberState], may_follow: Callable[[str], bool]
) -> str | None:
    """Return the member to promote: of those that have applied the most, and are well, the first one; None without one.

    Args:
        order: The members, the preferred one first.
        primary: The one that is to be replaced.
        states: How far each has come.
        may_follow: Whether a member is well.
    """
    backups = sorted((name for name in order if name != primary), key=lambda name: -states[name].applied)
    return next((name for name in backups if may_follow(name)), None)
