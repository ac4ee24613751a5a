"""Stock Flower, started by plain ``celery flower``, tells the truth about every job, and its remote control works."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from perdure import Perdure
from perdure_workers.embedded.redis import RedisServer
from support.cluster import PATIENCE, Cluster, Running
from support.flowers import FlowerProcess, flower_process
from support.waiting import wait_until

HERE = Path(__file__).parent
AUTH = ("eve", "reader")


@dataclass
class Platform:
    cluster: Cluster
    flower: FlowerProcess
    workers: dict[str, Running]

    @property
    def app(self) -> Perdure:
        return self.cluster.app


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    sys.path.insert(0, str(HERE))
    from flower_jobs import build

    folder = tmp_path_factory.mktemp("flower")
    with RedisServer(folder / "redis", die_with_parent=True) as redis:
        settings = {"cancel_grace": "0.5"}
        cluster = Cluster(build, "flower_app", HERE, folder, f"sqlite:///{folder / 'ledger.db'}", redis.url, settings)
        try:
            celery = Path(sys.executable).with_name("celery")
            command: list[str | Path] = [
                celery,
                f"--workdir={HERE}",
                "-A",
                "flower_app:celery",
                "flower",
                "--address=127.0.0.1",
            ]
            environment = {**cluster.environment(), "CHAOS_FOLDER": str(folder)}
            with flower_process([*command, "--basic-auth=eve:reader"], folder, environment, AUTH) as flower:
                names = ("critical", "normal", "background")
                workers = {name: cluster.start("worker", name, "-c", "2", name=name) for name in names}
                for worker in workers.values():
                    cluster.await_ready(worker)
                online = lambda: [name for name, up in flower.get("/api/workers?status=1").json().items() if up]  # noqa: E731
                wait_until(lambda: len(online()) == 3, PATIENCE, message="three workers in Flower")
                flower.get("/api/workers?refresh=1").raise_for_status()
                yield Platform(cluster, flower, workers)
        finally:
            cluster.close()
            sys.path.remove(str(HERE))


def test_a_job_that_succeeds_is_shown_with_its_facts(platform: Platform) -> None:
    job = platform.cluster.submit("add", 2, 3)
    shown = platform.flower.await_state(job.id, "SUCCESS")
    assert (shown["name"], shown["args"], shown["result"], shown["retries"]) == ("add", "[2,3]", "5", 0)
    assert shown["routing_key"] == "perdure.critical"
    assert shown["worker"].startswith("critical@")
    assert shown["runtime"] is not None


def test_secrets_are_masked_by_name_and_by_annotation(platform: Platform) -> None:
    job = platform.app.task("sign_in").submit("ann", "hunter-2", card="4111-2222", options={"api_key": "k-3333", "n": 1})
    shown = platform.flower.await_state(job.id, "SUCCESS")
    assert shown["args"] == '["ann","***"]'
    assert shown["kwargs"] == '{"card":"***","options":{"api_key":"***","n":1}}'
    assert shown["result"] == '{"user":"ann","token":"***"}'
    everything = platform.flower.get("/api/tasks").text + platform.flower.log.read_text()
    everything += "".join(worker.logged() for worker in platform.workers.values())
    assert not [secret for secret in ("hunter-2", "4111-2222", "k-3333", "t-4444") if secret in everything]


def test_a_job_that_waits_for_its_retry_is_shown_with_reason_and_time(platform: Platform) -> None:
    job = platform.cluster.submit("fail_until_open", "repaired")
    shown = platform.flower.await_state(job.id, "RETRY")
    assert "ValueError('not repaired')" in shown["exception"]
    assert "next attempt at 20" in shown["exception"]
    assert "fail_until_open" in shown["traceback"]
    platform.cluster.open("repaired")
    shown = platform.flower.await_state(job.id, "SUCCESS")
    assert shown["retries"] >= 1


def test_a_dead_letter_is_a_failure_and_its_replay_a_new_task_with_its_parent(platform: Platform) -> None:
    job = platform.cluster.submit("divide", 1, 0)
    shown = platform.flower.await_state(job.id, "FAILURE")
    assert shown["exception"] == "ZeroDivisionError('division by zero')"
    assert "divide" in shown["traceback"]
    letter = job.refresh().record.dead_letter_id
    assert letter
    replayed = platform.app.dead_letters.replay(letter, args=[1, 2])
    shown = platform.flower.await_state(replayed.id, "SUCCESS")
    assert (shown["parent_id"], shown["result"]) == (job.id, "0.5")
    assert platform.flower.task(job.id)["state"] == "FAILURE"


@pytest.mark.parametrize("how", ["cancel", "revoke"])
def test_a_running_job_that_is_cancelled_is_revoked(platform: Platform, how: str) -> None:
    job = platform.cluster.submit("polite")
    platform.flower.await_state(job.id, "STARTED")
    if how == "cancel":
        job.cancel("not needed")
    else:
        platform.flower.post(f"/api/task/revoke/{job.id}").raise_for_status()
    platform.flower.await_state(job.id, "REVOKED")
    assert job.state == "cancelled"


def test_a_job_that_does_not_stop_is_revoked_by_force(platform: Platform) -> None:
    job = platform.cluster.submit("deaf")
    platform.flower.await_state(job.id, "STARTED")
    platform.flower.post(f"/api/task/revoke/{job.id}?terminate=true").raise_for_status()
    platform.flower.await_state(job.id, "REVOKED")
    assert job.state == "cancelled"


@pytest.mark.parametrize("how", ["cancel", "revoke"])
def test_a_queued_job_that_is_cancelled_is_revoked(platform: Platform, how: str) -> None:
    gate = f"queued-{how}"
    holding = [platform.cluster.submit("hold_background", gate) for _ in range(2)]
    for job in holding:
        platform.flower.await_state(job.id, "STARTED")
    queued = platform.cluster.submit("hold_background", gate)
    if how == "cancel":
        assert queued.cancel()
    else:
        platform.flower.post(f"/api/task/revoke/{queued.id}").raise_for_status()
    assert platform.flower.await_state(queued.id, "REVOKED")["name"] == "hold_background"
    platform.cluster.open(gate)
    for job in holding:
        platform.flower.await_state(job.id, "SUCCESS")
    assert platform.flower.task(queued.id)["state"] == "REVOKED"
    assert not platform.cluster.effects(queued)


def test_a_job_whose_child_is_killed_is_a_retry_and_then_a_success(platform: Platform) -> None:
    job = platform.cluster.submit("die", "kill", 1)
    shown = platform.flower.await_state(job.id, "SUCCESS")
    assert shown["retries"] == 1
    poison = platform.cluster.submit("die", "kill", 99)
    shown = platform.flower.await_state(poison.id, "FAILURE")
    assert "SIGKILL" in shown["exception"]


def test_a_message_that_names_a_task_runs_nothing_and_is_kept(platform: Platform) -> None:
    before = platform.app.dead_letters.count()
    platform.flower.post("/api/task/async-apply/add", json={"args": [1, 2], "queue": "perdure.critical"}).raise_for_status()
    wait_until(lambda: platform.app.dead_letters.count() == before + 1, PATIENCE, message="a dead letter")
    [letter] = platform.app.dead_letters.list(limit=1)
    assert (letter.task, letter.job_id) == ("add", None)


def test_workers_and_broker_pages_show_the_three_bulkheads(platform: Platform) -> None:
    lengths = platform.flower.get("/api/queues/length").json()["active_queues"]
    queues = {"perdure.critical", "perdure.normal", "perdure.background"}
    assert queues <= {queue["name"] for queue in lengths}
    workers = platform.flower.get("/api/workers?refresh=1").json()
    assert {queue["name"] for worker in workers.values() for queue in worker["active_queues"]} == queues
    for page in ("/workers", "/broker"):
        assert platform.flower.get(page).status_code == 200
    assert all(name in platform.flower.get("/broker").text for name in queues)
    assert all(f"{name}@" in platform.flower.get("/workers").text for name in platform.workers)


def test_the_pool_s_size_is_not_flower_s_to_change(platform: Platform) -> None:
    name = platform.app.workers.list()[0].name
    worker = next(worker for worker in platform.workers.values() if name.startswith(f"{worker.name}@"))
    children = worker.children()
    refused = platform.flower.post(f"/api/worker/pool/shrink/{name}?n=1")
    assert refused.status_code == 403
    assert "pool_shrink is off" in refused.text
    assert worker.children() == children


def test_a_time_limit_ends_a_job(platform: Platform) -> None:
    name = next(worker.name for worker in platform.app.workers.list() if worker.bulkhead == "normal")
    answer = platform.flower.post("/api/task/timeout/sleepy", data={"workername": name, "soft": "0.3"})
    assert answer.status_code == 200, answer.text
    job = platform.cluster.submit("sleepy")
    shown = platform.flower.await_state(job.id, "FAILURE")
    assert "TimeLimitReached" in shown["exception"]
    refused = platform.flower.post("/api/task/rate-limit/sleepy", data={"workername": name, "ratelimit": "1/s"})
    assert refused.status_code == 403
