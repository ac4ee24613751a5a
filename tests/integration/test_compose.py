"""docker-compose.yml: what it promises, and that its commands are commands of the CLI."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import redis

from perdure.system.ports import free_port
from perdure_workers.embedded.redis import find_redis_server
from support.compose import COMPOSE_FILE, ROOT, MissingVariable, load, perdure_commands
from support.waiting import wait_until

pytestmark = pytest.mark.slow

SECRETS = {"POSTGRES_PASSWORD": "pg-secret", "REDIS_PASSWORD": "redis-secret", "PERDURE_FLOWER_PASSWORD": "fl-secret"}
ENVIRONMENT = {**SECRETS, "PERDURE_APP": "shop:app"}
BULKHEADS = ("critical", "normal", "background")
COMMANDS = {("worker",), ("supervisor",), ("flower",), ("health",), ("db", "upgrade")}
"""Commands that the file may use; the reference of the CLI fixes their names."""


@pytest.fixture
def services() -> dict[str, Any]:
    return dict(load(ENVIRONMENT)["services"])


def test_has_one_service_per_role(services: dict[str, Any]) -> None:
    workers = [f"worker-{bulkhead}" for bulkhead in BULKHEADS]
    assert list(services) == ["redis", "postgres", "migrate", *workers, "supervisor", "flower"]


@pytest.mark.parametrize("secret", SECRETS)
def test_nothing_starts_without_its_secrets(secret: str) -> None:
    with pytest.raises(MissingVariable, match=secret):
        load({name: value for name, value in ENVIRONMENT.items() if name != secret})


def test_holds_no_secret_itself() -> None:
    text = COMPOSE_FILE.read_text()
    passwords = re.findall(r"PASSWORD:[ \t]+(\S+)", text) + re.findall(r"requirepass (\S+)", text)
    passwords += re.findall(r"://\w*:([^@\s]+)@", text)
    assert len(passwords) >= 6
    assert [password for password in passwords if not password.startswith("$")] == []


def test_secrets_are_no_arguments(services: dict[str, Any]) -> None:
    for name, service in services.items():
        command = " ".join(service.get("command", []))
        assert not any(secret in command for secret in SECRETS.values()), name


def test_no_service_is_root_and_none_can_become_it(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["user"] in {"redis", "postgres", "perdure"}, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    assert re.findall(r"^USER (\w+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE) == ["perdure"]


def test_every_lasting_service_has_a_health_check_and_is_restarted(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if name != "migrate":
            assert service["healthcheck"]["test"], name
            assert service["restart"] == "unless-stopped", name
    assert services["migrate"]["restart"] == "on-failure"


def test_data_is_on_volumes(services: dict[str, Any]) -> None:
    assert services["redis"]["volumes"] == ["redis:/data"]
    assert services["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]
    assert set(load(ENVIRONMENT)["volumes"]) == {"redis", "postgres"}


def test_workers_start_after_redis_and_the_migration_and_may_drain(services: dict[str, Any]) -> None:
    for bulkhead in BULKHEADS:
        worker = services[f"worker-{bulkhead}"]
        assert worker["depends_on"]["redis"]["condition"] == "service_healthy"
        assert worker["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
        assert int(worker["stop_grace_period"].removesuffix("s")) > 30  # the drain timeout
        assert worker["command"] == ["perdure", "worker", bulkhead, "-A", "shop:app"]


def test_only_flower_is_published_and_on_loopback(services: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {"flower": ["127.0.0.1:5555:5555"]}


def test_every_perdure_command_is_one_of_the_cli(services: dict[str, Any]) -> None:
    used = [command.argv for command in perdure_commands(ENVIRONMENT)]
    checks = [service["healthcheck"]["test"][1:] for service in services.values() if "healthcheck" in service]
    used += [check for check in checks if check[0] == "perdure"]
    assert len(used) >= 10
    for program, *arguments in used:
        assert program == "perdure"
        assert any(tuple(arguments[: len(known)]) == known for known in COMMANDS), arguments


def test_the_command_of_redis_gives_a_fit_broker(services: dict[str, Any], tmp_path: Path) -> None:
    port = free_port()
    shell, option, script = services["redis"]["command"]
    script = script.replace("dir /data", f"dir {tmp_path}\nport {port}\nbind 127.0.0.1")
    script = script.replace("exec redis-server", f"exec {find_redis_server()}")
    server = subprocess.Popen([shell, option, script], env={"REDIS_PASSWORD": "s3cret"}, stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port, password="s3cret", decode_responses=True) as client:
            wait_until(lambda: answers(client), message="Redis answers")
            assert client.config_get("appendonly") == {"appendonly": "yes"}
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
    finally:
        server.terminate()
        server.wait(10)


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_the_image_is_built_from_the_lock_without_development_tools() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert text.count("FROM ") >= 2
    assert re.search(r"uv sync --locked --no-dev", text)
    pinned = re.search(r"uv==(\S+)", text)
    in_makefile = re.search(r"^UV_VERSION := (\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert pinned
    assert in_makefile
    assert pinned[1] == in_makefile[1]
