"""What tests of submitting look at, and how they end a job."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import redis

from perdure import Perdure
from support.ledgers import SUCCEED, claimed


class Size(enum.Enum):
    SMALL = "small"


@dataclass
class Order:
    id: UUID
    at: datetime
    price: Decimal
    size: Size


def bells(app: Perdure) -> dict[str, int]:
    """How many bells wait in the broker for each bulkhead that has any."""
    with redis.Redis.from_url(app.settings.effective_broker_url) as client:
        found = {bulkhead: int(client.llen(f"perdure.{bulkhead}")) for bulkhead in app.settings.bulkheads}
    return {bulkhead: count for bulkhead, count in found.items() if count}


def finish(app: Perdure, job_id: str, settlement: Any = SUCCEED) -> None:
    """End a job that waits, as a worker would."""
    app.ledger.jobs.settle(claimed(app.ledger, job_id), settlement)
