"""Sentry, with its Celery integration, is told once of each job that dies: of its error and of its own frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations import sqlalchemy as sentry_sqlalchemy
from sentry_sdk.transport import Transport
from sqlalchemy import Engine, event

from perdure import JobContext, Perdure, RetryPolicy, Secret, Snooze
from perdure.stores.encryption.cipher import KeyRing
from support.inline import run

SECRET, NOTE = "hunter2-4711", "for your eyes"


class InMemory(Transport):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.events += [item.payload.json or {} for item in envelope.items if item.type == "event"]


@pytest.fixture
def told() -> Iterator[list[dict[str, Any]]]:
    transport = InMemory()
    sentry_sdk.init(dsn="https://key@127.0.0.1/1", transport=transport, default_integrations=True)
    yield transport.events
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)
    for name in ("before_cursor_execute", "after_cursor_execute", "handle_error"):
        listener = getattr(sentry_sqlalchemy, f"_{name}")
        if event.contains(Engine, name, listener):  # it would be for ever, and for all tests of this process
            event.remove(Engine, name, listener)


def divide(ctx: JobContext, by: int) -> float:
    sentry_sdk.set_tag("divisor", by)
    if ctx.claim.fence == 1:
        raise Snooze(0.01)
    return 1 / by


def test_a_death_is_told_once_with_the_job_s_frames(sqlite_app: Perdure, told: list[dict[str, Any]]) -> None:
    task = sqlite_app.register(divide, name="divide", retry=RetryPolicy(max_retries=1, base=0.01))
    job, fine = task.submit(0), task.submit(1)
    run(sqlite_app, job)
    run(sqlite_app, fine)
    [told_of] = told
    [error] = told_of["exception"]["values"]
    assert (error["type"], error["value"]) == ("ZeroDivisionError", "division by zero")
    assert [frame["function"] for frame in error["stacktrace"]["frames"]] == ["divide"]
    assert error["stacktrace"]["frames"][0]["vars"]["by"] == "0"
    assert (told_of["transaction"], told_of["tags"]["celery_task_id"], told_of["tags"]["divisor"]) == ("divide", job.id, 0)
    assert told_of["contexts"]["perdure job"]["attempt"] == 2
    assert error["mechanism"]["handled"] is False


def test_nothing_of_one_job_is_in_what_is_told_of_the_next(sqlite_app: Perdure, told: list[dict[str, Any]]) -> None:
    def tags(tag: str | None) -> None:
        if tag is not None:
            sentry_sdk.set_tag(tag, "x")
        raise ValueError

    task = sqlite_app.register(tags, name="tags", retry="none")
    for tag in ("mine", None):
        run(sqlite_app, task.submit(tag))
    first, second = told
    assert "mine" in first["tags"]
    assert "mine" not in second["tags"]


@pytest.mark.parametrize("sealed", [False, True])
def test_secrets_stay_here(sqlite_app: Perdure, told: list[dict[str, Any]], sealed: bool, tmp_path: Any) -> None:
    settings = sqlite_app.settings
    keys = KeyRing.generate("k1") if sealed else None
    app = Perdure(ledger_url=settings.ledger_url, broker_url=settings.broker_url, home=tmp_path / "h", encryption_keys=keys)

    def charge(card: Annotated[str, Secret], note: str) -> None:
        number = card[:]
        raise ValueError(f"{number} refused: {note}")

    run(app, app.register(charge, name="charge", retry="none").submit(SECRET, NOTE))
    app.close()
    [told_of] = told
    assert SECRET not in str(told_of)
    assert (NOTE in str(told_of)) != sealed


def test_without_its_celery_integration_nothing_is_told(sqlite_app: Perdure, told: list[dict[str, Any]]) -> None:
    from sentry_sdk.integrations.celery import CeleryIntegration

    sentry_sdk.init(dsn="https://key@127.0.0.1/1", disabled_integrations=[CeleryIntegration()])

    def fails() -> None:
        raise ValueError

    run(sqlite_app, sqlite_app.register(fails, name="fails", retry="none").submit())
    assert told == []
