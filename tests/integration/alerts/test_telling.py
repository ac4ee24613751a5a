"""Who is told, and how: one sender at a time, until it is sent; by job or directly; each kind at a real receiver."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from perdure import Perdure
from perdure.ledger.alerts.outbox import Notification
from perdure.ledger.schema import alert_notifications
from perdure.system.ports import free_port
from perdure_tasks import verify
from perdure_workers.notifiers import outage
from perdure_workers.notifiers.delivery import NAME, deliver, deliver_due, register_notify
from perdure_workers.notifiers.outage import LedgerOutage
from support.inline import run_once
from support.ledgers import at_once
from support.mailbox import mailbox
from support.receiver import Receiver, answer, receiver

pytestmark = pytest.mark.slow

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def ops() -> Iterator[Receiver]:
    with receiver(answer(204)) as running:
        yield running


@pytest.fixture
def told(
    migrated_sqlite: Path, redis_url: str, tmp_path: Path, clean_environment: None
) -> Iterator[Callable[..., Perdure]]:
    """A function that makes an application with these notifiers, and with a rule that fires now."""
    made: list[Perdure] = []
    sqlite = f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'ledger.sqlite3')}"

    def build(notifiers: Mapping[str, Any], url: str = sqlite, rule: str = "hot") -> Perdure:
        app = Perdure(ledger_url=url, broker_url=redis_url, home=tmp_path / "home", alerts={"notifiers": notifiers})
        register_notify(app)
        app.alerts.rule(rule, lambda: {"a <b>": 30.0, "b": 31.0}, above=20, severity="critical", todo="Open a window.")
        app.alerts.look(always=True)
        made.append(app)
        return app

    yield build
    for app in made:
        app.close()


def hook(ops: Receiver, **more: Any) -> dict[str, Any]:
    return {"kind": "webhook", "url": f"{ops.url}/alerts", "secret": SECRET, **more}


def newest(app: Perdure) -> Notification:
    return app.alerts.notifications()[0]


def make_due(app: Perdure) -> None:
    with app.ledger.transaction() as connection:
        values = {"due_at": alert_notifications.c.created_at - 1}
        connection.execute(update(alert_notifications).where(alert_notifications.c.due_at.is_not(None)).values(values))


def test_a_webhook_is_sent_by_a_job_where_a_worker_can_run_it(
    told: Callable[..., Perdure], ops: Receiver, serve_for: Callable[..., None]
) -> None:
    app = told({"ops": hook(ops)})
    serve_for(app, "critical")
    assert deliver_due(app) == 1
    assert ops.received == []
    [job] = app.jobs.list(task=NAME)
    assert run_once(app, job) == "succeeded"
    [got] = ops.received
    headers = {name.lower(): value for name, value in got.headers.items()}
    assert verify(SECRET, headers, got.body) == newest(app).id == headers["idempotency-key"]
    body = json.loads(got.body)
    assert (body["type"], body["data"]["todo"]) == ("alert.firing", "Open a window.")
    assert [alert["labels"] for alert in body["data"]["alerts"]] == [{"of": "a <b>"}, {"of": "b"}]
    assert SECRET not in str(job.refresh().record)
    assert newest(app).sent_at is not None
    make_due(app)
    assert deliver_due(app) == 0


@pytest.fixture
def serve_for() -> Callable[[Perdure, str], None]:
    def write(app: Perdure, bulkhead: str) -> None:
        row = {"id": "w", "name": "w", "bulkhead": bulkhead, "host": "h", "pid": 1, "concurrency": 1}
        app.ledger.workers.register({**row, "lease_ttl": 60.0, "lock_path": None})

    return write


def test_a_job_that_does_not_run_in_time_leaves_it_to_whoever_finds_it_due(
    told: Callable[..., Perdure], ops: Receiver, serve_for: Callable[..., None]
) -> None:
    app = told({"ops": hook(ops)})
    serve_for(app, "critical")
    deliver_due(app)
    make_due(app)
    assert deliver_due(app) == 1
    assert len(ops.received) == 1
    [job] = app.jobs.list(task=NAME)
    run_once(app, job)
    assert job.result() == {"sent": False, "why": "somebody else has it"}
    assert len(ops.received) == 1


def test_without_a_worker_and_for_alerts_about_the_platform_it_goes_directly(
    told: Callable[..., Perdure], ops: Receiver, serve_for: Callable[..., None]
) -> None:
    app = told({"ops": hook(ops)}, rule="worker_failed")
    serve_for(app, "critical")
    assert deliver_due(app) == 1
    assert len(ops.received) == 1
    assert app.jobs.list() == []


def test_one_of_several_senders_gets_it_and_a_stale_one_settles_nothing(
    told: Callable[..., Perdure], migrated_url: str, ops: Receiver
) -> None:
    app = told({"ops": hook(ops)}, migrated_url)
    [found] = app.ledger.alerts.due(10, ["ops"])
    claims = at_once([lambda name=name: app.ledger.alerts.claim(found, name, 60.0) for name in ("a", "b", "c")])
    [stale] = [claim for claim in claims if claim is not None]
    assert app.ledger.alerts.due(10, ["ops"]) == []
    make_due(app)
    again = app.ledger.alerts.claim(found, "d", 60.0)
    assert again is not None
    assert again.fence == stale.fence + 1
    assert not app.ledger.alerts.sent(stale)
    assert not app.ledger.alerts.failed(stale, "late", 1.0)
    assert app.ledger.alerts.claim(found, "a job of then", 60.0, stale.fence) is None
    handed_over = app.ledger.alerts.claim(found, "a job", 60.0, again.fence)
    assert handed_over is not None
    assert deliver(app, handed_over) == ""
    assert newest(app).sent_at is not None
    assert app.ledger.alerts.claim(found, "e", 60.0) is None


def test_what_was_not_taken_is_sent_again_under_the_same_id(told: Callable[..., Perdure]) -> None:
    with receiver(answer(500), answer(204)) as ops:
        app = told({"ops": hook(ops)})
        deliver_due(app)
        failed = newest(app)
        assert (failed.tries, failed.error, failed.sent_at) == (1, "127.0.0.1 answered 500", None)
        assert failed.due_at is not None
        assert failed.due_at > failed.created_at + 2
        make_due(app)
        deliver_due(app)
        assert newest(app).sent_at is not None
        first, second = ({name.lower(): value for name, value in got.headers.items()} for got in ops.received)
        assert first["webhook-id"] == second["webhook-id"]
        assert ops.received[0].body == ops.received[1].body


def test_a_day_of_failures_is_enough(told: Callable[..., Perdure]) -> None:
    app = told({"ops": {"kind": "slack", "url": f"http://127.0.0.1:{free_port()}/T0/SECRETPATH"}})
    with app.ledger.transaction() as connection:
        connection.execute(update(alert_notifications).values(created_at=alert_notifications.c.created_at - 90_000))
    deliver_due(app)
    given_up = newest(app)
    assert (given_up.due_at, given_up.sent_at) == (None, None)
    assert "ConnectError" in str(given_up.error)
    assert "SECRETPATH" not in str(given_up.error)


def test_slack(told: Callable[..., Perdure], ops: Receiver) -> None:
    app = told({"chat": {"kind": "slack", "url": f"{ops.url}/services/T/B/x"}})
    deliver_due(app)
    text = json.loads(ops.received[0].body)["text"]
    assert ":red_circle: *[FIRING: 2] hot*" in text
    assert "hot of a &lt;b&gt; is 30" in text
    assert "What to do: Open a window." in text
    assert newest(app).id in text


def test_pagerduty_has_an_incident_for_each_alert_and_ends_it(told: Callable[..., Perdure], ops: Receiver) -> None:
    app = told({"pager": {"kind": "pagerduty", "routing_key": "R0", "url": f"{ops.url}/v2/enqueue"}})
    deliver_due(app)
    app.alerts.rule("hot", lambda: 0.0, above=20)
    app.alerts.look(always=True)
    deliver_due(app)
    events = [json.loads(got.body) for got in ops.received]
    assert [event["event_action"] for event in events] == ["trigger", "trigger", "resolve", "resolve"]
    keys = [event["dedup_key"] for event in events]
    assert keys[:2] == keys[2:]
    assert len(set(keys)) == 2
    assert events[0]["payload"]["severity"] == "critical"
    assert events[0]["routing_key"] == "R0"
    assert newest(app).sent_at is not None


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
@pytest.mark.parametrize("password", ["right", "wrong"])
def test_email(told: Callable[..., Perdure], password: str) -> None:
    with mailbox("perdure", "right") as mails:
        where = {"host": "127.0.0.1", "port": mails.port, "security": "none", "user": "perdure", "password": password}
        app = told({"mail": {"kind": "email", "to": ["ops@example.org"], "sender": "perdure@example.org", **where}})
        deliver_due(app)
        sent = newest(app)
        if password == "wrong":
            assert sent.sent_at is None
            assert "SMTPAuthenticationError" in str(sent.error)
            return
        [mail] = mails.received
    assert mail["Subject"] == "[FIRING: 2] hot"
    assert mail["Message-ID"] == f"<{sent.id}@perdure>"
    assert "What to do: Open a window." in str(mail.get_payload())


def test_secrets_are_in_no_representation(told: Callable[..., Perdure], ops: Receiver) -> None:
    mail = {"kind": "email", "to": ["a"], "sender": "b", "host": "h", "password": "PASSWORD"}
    pager = {"kind": "pagerduty", "routing_key": "ROUTING"}
    app = told({"ops": hook(ops), "mail": mail, "pager": pager})
    shown = repr(app.settings) + str(app.settings)
    assert not [secret for secret in (SECRET, "PASSWORD", "ROUTING", f"{ops.url}/alerts") if secret in shown]


def test_while_the_ledger_is_away_one_supervisor_tells(told: Callable[..., Perdure], ops: Receiver) -> None:
    app = told({"ops": hook(ops)})
    other = told({"ops": hook(ops)})
    moments = [0.0]
    both = [LedgerOutage(each, lambda: moments[0]) for each in (app, other)]
    for each in both:
        each.goes_on("connection refused")
    assert ops.received == []
    moments[0] = outage.HOLD
    for each in [*both, *both]:
        each.goes_on("connection refused")
    assert [json.loads(got.body)["type"] for got in ops.received] == ["alert.firing"]
    for each in [*both, *both]:
        each.is_over()
    events = [json.loads(got.body) for got in ops.received]
    assert [event["type"] for event in events] == ["alert.firing", "alert.resolved"]
    assert {event["data"]["rule"] for event in events} == {"ledger_unavailable"}
