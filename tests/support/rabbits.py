"""A RabbitMQ of three nodes, real processes each of which may be killed. RabbitMQ comes from Debian's package."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import which
from typing import Any

from kombu import Connection

from perdure.system.ports import LOOPBACK, free_port
from support.waiting import wait_until

PASSWORD = "s3cret"
#: Scripts of the package that ask for no account of their own, as those on the PATH do.
SERVERS = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))
EPMD = which("epmd")
#: Why there is none here, for tests that are skipped.
MISSING = "RabbitMQ is not installed: apt-get install rabbitmq-server" if not SERVERS or EPMD is None else ""
#: An Erlang that shares two cores with two others.
FRUGAL = "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"


class Rabbits:
    """The nodes of a cluster, which find each other by their names on this machine.

    Args:
        folder: Where they keep data, logs and the secret that they share.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ports = {name: free_port() for name in ("rabbit1", "rabbit2", "rabbit3")}
        self._epmd_port = free_port()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        """URL of the broker with all nodes."""
        return f"amqp://jobs:{PASSWORD}@{','.join(f'{LOOPBACK}:{port}' for port in self.ports.values())}/"

    def start(self) -> None:
        nodes = "\n".join(
            f"cluster_formation.classic_config.nodes.{number} = {name}@localhost"
            for number, name in enumerate(self.ports, 1)
        )
        (self._folder / "rabbitmq.conf").write_text(f"default_user = jobs\ndefault_pass = {PASSWORD}\n{nodes}\n")
        (self._folder / "plugins").write_text("[].\n")
        epmd = [str(EPMD), "-port", str(self._epmd_port), "-address", LOOPBACK]
        self._processes.append(subprocess.Popen(epmd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        for name, port in self.ports.items():
            self._start(name, port)
        wait_until(lambda: all(map(self._answers, self.ports)), 90, interval=0.2, message=self._said)

    def kill(self, name: str) -> None:
        """End a node with all its processes, as a machine that loses its power does."""
        with suppress(ProcessLookupError):
            os.killpg(self._nodes[name].pid, signal.SIGKILL)
        self._nodes[name].wait(30)

    def waiting(self, name: str, queue: str) -> int | None:
        """Return how many messages wait in a queue, or None when this node does not answer."""
        with self._connection(name) as node, suppress(OSError, *node.connection_errors, *node.channel_errors):
            channel: Any = node.default_channel
            return int(channel.queue_declare(queue, passive=True).message_count)
        return None

    def end(self) -> None:
        for name in self._nodes:
            self.kill(name)
        for process in self._processes:
            process.kill()
            process.wait(30)

    def _start(self, name: str, port: int) -> None:
        own = {
            "HOME": str(self._folder),  # the secret that nodes share is made there
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_NODENAME": f"{name}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(self._folder / name),
            "RABBITMQ_LOG_BASE": str(self._folder / name),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": FRUGAL,
        }
        with (self._folder / f"{name}.log").open("wb") as log:
            self._nodes[name] = subprocess.Popen(
                [SERVERS[-1]], env={**os.environ, **own}, stdout=log, stderr=log, start_new_session=True
            )

    def _answers(self, name: str) -> bool:
        """Tell whether a node takes connections, which it does once it has joined the others."""
        with self._connection(name) as connection, suppress(OSError, *connection.connection_errors):
            connection.connect()
            return True
        return False

    def _connection(self, name: str) -> Connection:
        return Connection(f"amqp://jobs:{PASSWORD}@{LOOPBACK}:{self.ports[name]}/", transport_options={"max_retries": 0})

    def _said(self) -> str:
        return "\n".join((self._folder / f"{name}.log").read_text()[-1500:] for name in self._nodes)


@contextmanager
def rabbits(folder: Path) -> Iterator[Rabbits]:
    """Run them; yield when all take connections."""
    made = Rabbits(folder)
    try:
        made.start()
        yield made
    finally:
        made.end()
