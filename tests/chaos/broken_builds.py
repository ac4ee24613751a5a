"""The lab's application on a platform that is broken on purpose: ``BROKEN_BUILD`` names how. The lab has to find it out."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, text, update

from perdure.ledger.jobs import settle
from perdure.ledger.running import checkpoints
from perdure.ledger.schema import jobs
from perdure.model import settlement
from perdure.model.records import RELEASED, Settlement
from perdure.model.states import Outcome, Transition
from perdure.running.checkpoint import Checkpoint
from perdure_workers.chaos.jobs import chaos_app
from perdure_workers.recovery import rescue


def put(owner: object, name: str, value: object) -> None:
    setattr(owner, name, value)


def no_fence_check() -> None:
    """Whoever held a job once may write to it for ever."""
    put(settle, "_SETTLE", text(settle._SETTLE.text.replace(" AND fence = of_fence", "")))

    def advance(connection: Connection, job_id: str, _fence: int, expected: int | None = None) -> Any:
        onward = update(jobs).where(jobs.c.id == job_id).values(checkpoint_seq=jobs.c.checkpoint_seq + 1)
        return connection.execute(onward.returning(jobs.c.checkpoint_seq)).scalar_one(), checkpoints.Standing(False)

    put(checkpoints, "advance", advance)


def no_crash_count() -> None:
    """A job whose process dies is run again, and nobody counts how often."""
    put(rescue, "lost", lambda claim, max_crashes, why: RELEASED)


def no_rescue() -> None:
    """Nobody takes back what the dead held."""
    put(rescue, "_take_back", lambda app, endings, *more: 0)


def no_checkpoint() -> None:
    """What was saved is not found again."""
    put(Checkpoint, "load", lambda self, default=None, **how: default)


def burned_retry() -> None:
    """The death of its process is held against the job."""
    lost = settlement.lost

    def blamed(*how: Any) -> Settlement:
        return replace(lost(*how), transition=Transition.RETRY, outcome=Outcome.FAILED, delay=0.1)

    put(rescue, "lost", blamed)


BUILDS: dict[str, Callable[[], None]] = {
    each.__name__: each for each in (no_fence_check, no_crash_count, no_rescue, no_checkpoint, burned_retry)
}

if os.environ.get("BROKEN_BUILD"):
    BUILDS[os.environ["BROKEN_BUILD"]]()

app = chaos_app()
