"""Which jobs a bell should have told an idle child of, and none did: a look found them."""

from __future__ import annotations

from collections.abc import Iterable

from perdure.model.records import Claim

#: Seconds after a submit by which its bell has woken an idle child; and by which one of the looks has, that come each
#: second. What waited for longer was held back by something else, such as a pause.
HEARD, LOOKED = 0.05, 2.0


def missed(claims: Iterable[Claim], idle: float) -> int:
    """Return how many jobs were missed by a child that a look has woken.

    Only those count that were submitted to run at once while the child was idle, and that nothing held back: for others
    nobody rings, or nobody would have come.

    Args:
        claims: What it has claimed.
        idle: Seconds for which it had held no job.
    """
    return sum(
        claim.fence == 1
        and claim.queued_at <= claim.created_at
        and claim.limit_key is claim.breaker is claim.replica_of is None
        and HEARD <= claim.started_at - claim.queued_at <= min(idle, LOOKED)
        for claim in claims
    )
