"""A Redis with a replica, watched by three Sentinels: five real processes, and a primary that may be killed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis, RedisError

from perdure.system.ports import LOOPBACK, free_port
from support.waiting import wait_until

PASSWORD = "s3cret"
NAME = "jobs"
#: Milliseconds without an answer after which a Sentinel takes a server for dead.
DOWN_AFTER = 1000


class Sentinels:
    """The five processes.

    Args:
        server: The ``redis-server`` to run, or a Valkey's.
        folder: Where they keep their configuration and logs.
    """

    def __init__(self, server: Path, folder: Path) -> None:
        self._server, self._folder = server, folder
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.primary, self.replica = free_port(), free_port()
        self._watchers: list[int] = []

    def start(self) -> None:
        login = [f"requirepass {PASSWORD}", f"masterauth {PASSWORD}"]
        self._run(self.primary, *login)
        self._run(self.replica, *login, f"replicaof {LOOPBACK} {self.primary}")
        wait_until(lambda: self._info(self.replica).get("master_link_status") == "up", 30)
        self._watchers = [free_port() for _ in range(3)]
        for port in self._watchers:
            self._run(
                port,
                f"sentinel monitor {NAME} {LOOPBACK} {self.primary} 2",
                f"sentinel auth-pass {NAME} {PASSWORD}",
                f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER}",
                f"sentinel failover-timeout {NAME} 5000",
                arguments=("--sentinel",),
            )
        wait_until(lambda: all(self._knows_all(port) for port in self._watchers), 30)

    @property
    def url(self) -> str:
        hosts = ",".join(f"{LOOPBACK}:{port}" for port in self._watchers)
        return f"sentinel://:{PASSWORD}@{hosts}/0?master_name={NAME}"

    def kill_primary(self) -> None:
        self._processes[self.primary].kill()
        self._processes[self.primary].wait()

    @property
    def has_switched(self) -> bool:
        """Whether the replica is the primary now."""
        return self._info(self.replica).get("role") == "master"

    def end(self) -> None:
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()

    def _run(self, port: int, *lines: str, arguments: tuple[str, ...] = ()) -> None:
        folder = self._folder / str(port)
        folder.mkdir()
        configuration = folder / "redis.conf"
        common = [f"port {port}", f"bind {LOOPBACK}", f"dir {folder}", 'save ""', f"logfile {folder}/log"]
        common += [] if arguments else ["repl-diskless-sync-delay 0"]  # a replica that has just come is served at once
        configuration.write_text("\n".join([*common, *lines]) + "\n")
        self._processes[port] = subprocess.Popen([self._server, configuration, *arguments], stdout=subprocess.DEVNULL)

    def _info(self, port: int) -> dict[str, object]:
        try:
            with Redis(port=port, password=PASSWORD) as client:
                return dict(client.info("replication"))
        except RedisError:
            return {}

    def _knows_all(self, port: int) -> bool:
        try:
            with Redis(port=port) as client:
                state = client.sentinel_master(NAME)  # type: ignore[no-untyped-call]
        except RedisError:
            return False
        return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] == 1)


@contextmanager
def sentinels(server: Path, folder: Path) -> Iterator[Sentinels]:
    """Run them; yield when all know of each other."""
    made = Sentinels(server, folder)
    try:
        made.start()
        yield made
    finally:
        made.end()
