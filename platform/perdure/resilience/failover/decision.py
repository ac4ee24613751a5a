"""Which member of a failover group should be the current one: a pure function of what is known of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field


class GroupState(Struct, frozen=True):
    """What is known of a group. Times are milliseconds.

    ``epoch`` grows with each switch; ``healthy_since`` has no entry for a member whose last check failed.
    """

    current: str
    epoch: int = 0
    since_ms: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    healthy_since: Mapping[str, int] = field(default_factory=dict)


def decide(
    order: Sequence[str], state: GroupState, now_ms: int, *, failure_threshold: int, return_after_ms: int
) -> tuple[str, str] | None:
    """Return the member to switch to and why, or None to stay.

    The current member is left when it failed ``failure_threshold`` times in a row and another has not. It is left for
    a preferred one (earlier in ``order``) that has been healthy for ``return_after_ms`` without a break, which keeps a
    flapping member from taking over again and again.
    """
    failed = [name for name in order if state.failures.get(name, 0) >= failure_threshold]
    if state.current not in order:
        return order[0], f"{state.current} is no longer a member"
    if state.current in failed:
        for name in order:
            if name not in failed:
                return name, f"{state.current} failed {state.failures[state.current]} times in a row"
        return None
    for name in order[: order.index(state.current)]:
        since = state.healthy_since.get(name)
        if since is not None and now_ms - since >= return_after_ms and now_ms - state.since_ms >= return_after_ms:
            return name, f"{name} is preferred and was healthy for {(now_ms - since) / 1000:.0f} s"
    return None
