"""The demo's receiver as a process, with real deliveries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from perdure import Discard, RetryAfter
from perdure_tasks import webhooks
from perdure_tasks.errors import DeliveryFailed
from perdure_workers.demo.receiver import SECRET_VARIABLE, planned_faults
from perdure_workers.demo.servers import ReceiverProcess, new_environment
from support.context import RecordingContext

pytestmark = pytest.mark.slow


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    environment = new_environment()
    for name in (SECRET_VARIABLE, "PERDURE_WEBHOOK_PRIVATE_HOSTS", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, environment[name])
    process = ReceiverProcess(tmp_path, environment, seed=1)
    yield process
    process.stop()


def deliver(url: str, number: int, ctx: Any) -> Any:
    return webhooks.deliver(ctx, url, {"number": number}, event="file.listed", secret="demo")


def test_events_arrive_once_whatever_their_first_deliveries_meet(receiver: Any) -> None:
    plans = {number: planned_faults(1, number) for number in range(60)}
    assert {fault for plan in plans.values() for fault in plan} == {"503", "500", "dropped", "lost"}
    for number, plan in plans.items():
        ctx = RecordingContext()
        for fault in plan:
            with pytest.raises(RetryAfter if fault == "503" else DeliveryFailed):
                deliver(f"{receiver.url}/hooks", number, ctx)
        assert deliver(f"{receiver.url}/hooks", number, ctx)["status"] == 200
    report = receiver.report()
    assert report["effects"] == 60
    assert report["recognised"] == sum("lost" in plan for plan in plans.values())
    assert report["accepted_twice"] == report["events_twice"] == report["forged"] == 0


def test_poisoned_endpoint_fails_until_it_is_repaired(receiver: Any) -> None:
    ctx = RecordingContext()
    for _ in range(2):
        with pytest.raises(DeliveryFailed, match="500"):
            deliver(f"{receiver.url}/poison", 1, ctx)
    receiver.repair()
    assert deliver(f"{receiver.url}/poison", 1, ctx)["status"] == 200
    assert receiver.report()["effects"] == 1


def test_forged_webhook_is_refused_and_counted(receiver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, new_environment()[SECRET_VARIABLE])
    with pytest.raises(Discard, match=r"answered 401$"):
        deliver(f"{receiver.url}/hooks", 1, RecordingContext())
    assert receiver.report()["forged"] == 1
    assert receiver.report()["effects"] == 0


def test_other_pages_are_not_there(receiver: Any) -> None:
    assert httpx.get(receiver.url, trust_env=False).status_code == 404
    assert httpx.post(f"{receiver.url}/other", trust_env=False).status_code == 404
