"""A real RabbitMQ node, where Debian's package ``rabbitmq-server`` is installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from amqp import Connection

from perdure.broker.queues import QUORUM
from perdure.system.ports import LOOPBACK, free_port
from support.waiting import wait_until

#: Not the one on PATH, which becomes another user.
SERVER = shutil.which("rabbitmq-server", path="/usr/lib/rabbitmq/bin")
#: Erlang's virtual machine takes its time on a busy machine.
START_TIMEOUT = 90.0


class Rabbit:
    """One node, with a port mapper of its own, so that nothing is left of it.

    Args:
        folder: Its data, its logs and its secret.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder, self.port, mapper, peers = folder, free_port(), free_port(), free_port()
        (folder / "plugins").write_text("[].")
        (folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = {LOOPBACK}:{self.port}\n")
        self._environment = {
            **os.environ,
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(mapper),
            "RABBITMQ_NODENAME": f"n{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(peers),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1",
        }
        self._mapper = subprocess.Popen(["epmd", "-port", str(mapper)], stderr=subprocess.DEVNULL)
        self._node: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{LOOPBACK}:{self.port}//"

    def start(self) -> None:
        assert SERVER is not None
        with (self._folder / "output").open("ab") as output:
            self._node = subprocess.Popen([SERVER], cwd=self._folder, env=self._environment, stdout=output, stderr=output)
        wait_until(self._answers, START_TIMEOUT, message=(self._folder / "output").read_text)

    def kill(self) -> None:
        if self._node is not None:
            self._node.kill()
            self._node.wait()

    def bells(self, queue: str) -> int:
        """Return how many bells wait in a quorum queue; RabbitMQ refuses this if the queue was made as any other one."""
        with Connection(f"{LOOPBACK}:{self.port}") as connection:
            made: Any = connection.channel().queue_declare(queue, durable=True, auto_delete=False, arguments=QUORUM)
            return int(made.message_count)

    def end(self) -> None:
        self.kill()
        self._mapper.kill()
        self._mapper.wait()

    def _answers(self) -> bool:
        assert self._node is not None
        assert self._node.poll() is None, (self._folder / "output").read_text()
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, self.port)) == 0


@contextmanager
def rabbit(folder: Path) -> Iterator[Rabbit]:
    """Run a node."""
    made = Rabbit(folder)
    try:
        made.start()
        yield made
    finally:
        made.end()
