"""An application with a shop's tasks, and the dead letters of its jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from perdure import Perdure
from perdure.model.records import Death
from perdure.model.states import DeadReason
from perdure.model.text.fingerprint import fingerprint
from support.ledgers import DIE, dead
from support.shop import define

Die = Callable[..., str]


@pytest.fixture
def shop(app: Perdure) -> Perdure:
    """The application, on both databases."""
    define(app)
    return app


@pytest.fixture
def die(shop: Perdure) -> Die:
    """A function that lets a job die and returns its dead letter's id."""

    def letter(
        task: str = "shop.charge",
        *args: Any,
        error: str = "card declined",
        error_type: str = "ValueError",
        reason: DeadReason = DeadReason.EXHAUSTED,
        breaker: str | None = None,
        **options: Any,
    ) -> str:
        death = Death(reason, fingerprint(task, error_type, error, []), breaker)
        settlement = replace(DIE, error=error, error_type=error_type, death=death)
        arguments = args or (("o-1", 5) if task == "shop.charge" else ("ann",))
        bulkhead = "critical" if task == "shop.charge" else "normal"
        named = {"bulkhead": bulkhead, **options}
        return dead(shop.ledger, *arguments, settlement=settlement, task=task, **named)[1]

    return letter
