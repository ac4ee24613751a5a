"""The workload's tasks. Each writes down what it does, outside of the platform: see ``evidence.py``."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from functools import partial
from typing import Any

import msgspec
import sqlalchemy as sa

from perdure import Discard, JobContext, Perdure, RetryPolicy
from perdure_workers.chaos import evidence

#: While this file is in the run's folder the service behind the breaker refuses every call.
SERVICE_DOWN = "service.down"
BREAKER = {"failure_threshold": 3, "recovery_timeout": 1.0, "recovery_growth": 1.0}
#: The task of the bulkhead that others' floods must not reach.
CALM = "chaos.calm"
#: Says whether the process that runs it may be broken on purpose.
CONSENT = "chaos.consent"
_SOON = RetryPolicy(max_retries=20, base=0.1, max_delay=0.5)
#: Every attempt of a job behind the breaker may meet the outage.
_OFTEN = RetryPolicy(max_retries=1000, base=0.1, max_delay=0.5)

paid = sa.Table(
    "chaos_paid",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),  # not the key and the number: a row that came twice would not be there
    sa.Column("job_key", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
)


def digest(payload: Any) -> str:
    """Return a hash of a payload by its content and types."""
    return hashlib.sha256(msgspec.json.encode(payload, order="deterministic")).hexdigest()[:16]


def chaos_app(**settings: Any) -> Perdure:
    """Return the lab's own application; the settings are those of :class:`~perdure.Perdure`."""
    app = Perdure(**settings, resilience={"breakers": {"lab": BREAKER}})
    register(app)
    return app


def register(app: Perdure) -> None:
    """Add the workload's tasks to an application, so that ``perdure chaos run --running`` may break its platform.

    Args:
        app: The application. Its setting ``faults_allowed`` has to allow it as well.
    """
    folder = evidence.folder_of(app)
    note = partial(evidence.note, folder)

    @app.job(name=CONSENT)
    def consent() -> bool:
        return app.settings.faults_allowed

    @app.job(name="chaos.quick")
    def quick(ctx: JobContext, key: str, payload: dict[str, Any]) -> None:
        note(ctx, "started", key, digest=digest(payload))
        note(ctx, "ended", key)

    @app.job(name=CALM, bulkhead="critical")
    def calm(ctx: JobContext, key: str) -> None:
        note(ctx, "started", key)
        note(ctx, "ended", key)

    @app.job(name="chaos.nap")
    def nap(ctx: JobContext, key: str, seconds: float) -> None:
        note(ctx, "started", key)
        time.sleep(seconds)
        note(ctx, "ended", key)

    @app.job(name="chaos.march")
    def march(ctx: JobContext, key: str, steps: int, pause: float) -> None:
        note(ctx, "started", key)
        first = ctx.checkpoint.load(default=0)
        note(ctx, "resumed", key, first)
        for step in range(first, steps):
            time.sleep(pause)
            ctx.checkpoint.save(step + 1)
            note(ctx, "saved", key, step + 1)
        note(ctx, "ended", key)

    app.register(march.function, name="chaos.long")

    @app.job(name="chaos.flaky", retry=_SOON)
    def flaky(ctx: JobContext, key: str, failures: int) -> None:
        note(ctx, "started", key)
        if ctx.attempt - ctx.claim.crashes <= failures:
            note(ctx, "raised", key)
            raise ConnectionError("as it was told to")
        note(ctx, "ended", key)

    @app.job(name="chaos.pay")
    def pay(ctx: JobContext, key: str, rows: int) -> None:
        note(ctx, "started", key)
        done = ctx.checkpoint.load(default=0)
        note(ctx, "resumed", key, done)
        for number in range(done, rows):
            with ctx.transaction() as connection:
                connection.execute(paid.insert().values(job_key=key, number=number))
                ctx.checkpoint.save(number + 1)
            note(ctx, "saved", key, number + 1)
        note(ctx, "ended", key)

    @app.job(name="chaos.poison")
    def poison(ctx: JobContext, key: str) -> None:
        note(ctx, "started", key)
        os.kill(os.getpid(), signal.SIGKILL)

    @app.job(name="chaos.doomed")
    def doomed(ctx: JobContext, key: str) -> None:
        note(ctx, "started", key)
        note(ctx, "raised", key)
        raise Discard("nothing can be done with it")

    @app.job(name="chaos.guarded", breaker="lab", retry=_OFTEN)
    def guarded(ctx: JobContext, key: str) -> None:
        note(ctx, "started", key)
        if (folder / SERVICE_DOWN).exists():
            note(ctx, "refused", key)
            raise ConnectionError("the service does not answer")
        note(ctx, "ended", key)
