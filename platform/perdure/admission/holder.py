"""Who holds the permits that a running job needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perdure.model.records import Claim


def holder_of(claim: Claim) -> str:
    """Return the name under which a running job holds permits, so that they can be freed when its process is gone."""
    return f"{claim.job_id}:{claim.fence}"
