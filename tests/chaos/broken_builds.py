"""The lab's application on a platform that is broken on purpose: ``BROKEN_BUILD`` names how. The lab has to find it out."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from perdure.errors import LedgerUnavailable
from perdure.ledger import direct
from perdure.ledger.direct import Where
from perdure.ledger.jobs import claim, settle
from perdure.ledger.running import checkpoints
from perdure.model import settlement
from perdure.model.records import RELEASED, Settlement
from perdure.model.signature import Signature
from perdure.model.states import Outcome, Transition
from perdure.resilience import CircuitBreaker
from perdure.running.checkpoint import Checkpoint
from perdure.running.transaction import OpenTransaction
from perdure_workers.chaos.jobs import chaos_app
from perdure_workers.intake.gate import Refused
from perdure_workers.intake.quarantine import Quarantine
from perdure_workers.recovery import rescue
from perdure_workers.worker import shift


def put(owner: object, name: str, value: object) -> None:
    setattr(owner, name, value)


def no_fence_check() -> None:
    """Whoever held a job once may write to it for ever."""
    put(settle, "_SETTLE", settle._SETTLE.replace(" AND fence = of_fence AND worker_name = by_worker", ""))

    onward = "UPDATE perdure_jobs SET checkpoint_seq = checkpoint_seq + 1 WHERE id = :of_job RETURNING checkpoint_seq"

    def advance(connection: Where, job_id: str, _fence: int, expected: int | None = None) -> Any:
        [(seq,)] = direct.rows(connection, onward, {"of_job": job_id})
        return seq, checkpoints.Standing(False)

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


def effects_alone() -> None:
    """A transaction commits a job's effects, and not the checkpoint that was saved in it; slowly, so that kills meet it."""
    write, committed = OpenTransaction.write, OpenTransaction.committed

    def alone(self: Any, connection: Connection, settlement: Settlement | None) -> Any:
        self._saves.clear()
        return write(self, connection, settlement)

    def slowly(self: Any) -> None:
        committed(self)
        time.sleep(1.0)

    put(OpenTransaction, "write", alone)
    put(OpenTransaction, "committed", slowly)


def no_bulkheads() -> None:
    """Every worker takes whatever is first in line, of whichever bulkhead."""
    for dialect, statement in claim._CLAIM.items():
        claim._CLAIM[dialect] = statement.replace("w.bulkhead = :bulkhead", "w.bulkhead >= ''")


def no_return() -> None:
    """Who has met a ledger that is away waits for it, and does not see that it is back."""

    def once(work: Callable[[], Any]) -> Any:
        try:
            return work()
        except LedgerUnavailable:
            threading.Event().wait()

    put(shift, "until_the_ledger_is_back", once)


def no_breaker() -> None:
    """Whatever a service answers, it is called again."""
    put(CircuitBreaker, "call", lambda self, work, *args, **kwargs: work(*args, **kwargs))


def messages_choose() -> None:
    """What somebody has put into the broker is run."""

    def submitted(self: Any, refused: Refused) -> None:
        if refused.task in self._app.tasks:
            arguments, *_ = msgspec.json.decode(refused.content)
            self._app.task(refused.task).submit(*arguments)

    put(Quarantine, "_keep", submitted)


def blurred_arguments() -> None:
    """A job is given something else than was submitted."""
    decode = Signature.decode

    def blurred(self: Any, args: str, kwargs: str) -> Any:
        found, named = decode(self, args, kwargs)
        return [{**each, "more": None} if isinstance(each, dict) else each for each in found], named

    put(Signature, "decode", blurred)


BUILDS: dict[str, Callable[[], None]] = {
    each.__name__: each
    for each in (
        no_fence_check,
        no_crash_count,
        no_rescue,
        no_checkpoint,
        burned_retry,
        effects_alone,
        no_bulkheads,
        no_return,
        no_breaker,
        messages_choose,
        blurred_arguments,
    )
}

if os.environ.get("BROKEN_BUILD"):
    BUILDS[os.environ["BROKEN_BUILD"]]()

app = chaos_app()
