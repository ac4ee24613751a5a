"""What all embedded servers share: one operating system process, started, watched until ready, and ended."""

from __future__ import annotations

import signal
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from perdure.system.ports import free_port
from perdure_workers.embedded.errors import PortTaken, ServerStartFailed, log_tail
from perdure_workers.embedded.ports import is_free

READY_POLL_SECONDS = 0.02
FREE_PORT_TRIES = 5
"""Tries with another port when somebody took a self-chosen one between the choice and the server's bind."""


class EmbeddedServer(ABC):
    """One server process on the loopback interface, with its data and its log in a folder of its own.

    Args:
        data_dir: the server's folder; made if missing, kept when the server stops.
        port: TCP port on 127.0.0.1; ``None`` takes a free one, which the server keeps over restarts.
        die_with_parent: end the server when this process dies, even by ``kill -9`` (Linux). Start it from the main
            thread then. Off by default: a server with data outlives the one who started it unless told otherwise.
        start_timeout: seconds until the server must answer.
    """

    name: ClassVar[str]

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        die_with_parent: bool = False,
        start_timeout: float = 30.0,
    ) -> None:
        self.data_dir = Path(data_dir).absolute()
        self.log_file = self.data_dir / f"{self.name}.log"
        self.die_with_parent = die_with_parent
        self.start_timeout = start_timeout
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def _spawn(self, port: int) -> subprocess.Popen[bytes]:
        """Start the process."""

    @abstractmethod
    def _answers(self, pid: int) -> bool:
        """Tell whether the process of this id (and not another on the same port) serves requests."""

    def _prepare(self) -> None:
        """Make the data folder ready; runs before every start."""
        self.data_dir.mkdir(parents=True, exist_ok=True)

    @property
    def port(self) -> int:
        """The TCP port; known once the server was started."""
        if self._port is None:
            raise ServerStartFailed(f"{self.name} in {self.data_dir} has no port yet: call start() first.")
        return self._port

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        if self._process is None:
            raise ServerStartFailed(f"{self.name} in {self.data_dir} does not run: call start() first.")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start the server and return when it answers; a running one is left as it is.

        Raises:
            ServerBinaryMissing: the server is not installed.
            PortTaken: the port that was asked for is in use.
            ServerStartFailed: the server ended, or was silent for ``start_timeout`` seconds.
        """
        if self.running:
            return self
        self._prepare()
        for tries_left in reversed(range(FREE_PORT_TRIES)):
            port = self._port or free_port()
            if not is_free(port):
                if self._port is None and tries_left:
                    continue
                raise PortTaken(self.name, port)
            self._process = self._spawn(port)
            fixed, self._port = self._port is not None, port
            try:
                self._wait_until_ready(self._process)
            except ServerStartFailed:
                self.kill()
                self._port = port if fixed else None
                if fixed or is_free(port) or not tries_left:
                    raise
            except BaseException:  # KeyboardInterrupt while waiting: leave no orphan
                self.kill()
                raise
            else:
                break
        return self

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self.start_timeout
        while not self._answers(process.pid):
            code = process.poll()
            if code is not None:
                raise ServerStartFailed(
                    f"{self.name} ended with exit code {code} before it was ready. {self.log_file} says:\n"
                    f"{log_tail(self.log_file)}"
                )
            if time.monotonic() > deadline:
                raise ServerStartFailed(
                    f"{self.name} did not answer within {self.start_timeout:g} s. {self.log_file} says:\n"
                    f"{log_tail(self.log_file)}"
                )
            time.sleep(READY_POLL_SECONDS)

    def _end(self, sig: signal.Signals, timeout: float) -> None:
        """Signal the process, wait up to ``timeout`` seconds, then kill it. One that does not run is left alone."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(sig)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End the server at once, as a crash would (SIGKILL)."""
        self._end(signal.SIGKILL, timeout=10)

    @abstractmethod
    def stop(self) -> None:
        """Stop the server in order; its data stay."""

    def restart(self) -> Self:
        """Stop the server and start it on the same port and data."""
        self.stop()
        return self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
