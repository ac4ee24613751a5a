"""The processes of a demo: the platform by its own command line, and the receiver."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

import httpx

from perdure.errors import PerdureError
from perdure.system.ports import free_port
from perdure_tasks.public_hosts import ALLOWED
from perdure_workers.demo.receiver import SECRET_VARIABLE
from perdure_workers.embedded.die_with_parent import end_with_parent

APP = "perdure_workers.demo.app:app"
#: How long the platform may take to start or stop, in seconds.
START_S, STOP_S, STATUS_S = 45.0, 45.0, 45.0


class DemoFailed(PerdureError):
    """The demo cannot go on; the message says what failed and what it said."""


def new_environment() -> dict[str, str]:
    """Return the environment of all processes of one demo, with a webhook secret made up for it."""
    local = "127.0.0.1,localhost"  # a proxy for the internet has no business between the demo and its receiver
    secret = f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"
    return {**os.environ, SECRET_VARIABLE: secret, "NO_PROXY": local, "no_proxy": local, ALLOWED: local}


class Platform:
    """``perdure up``, ``status`` and ``down`` on a home folder.

    Args:
        home: The folder.
        environment: Environment of the processes.
    """

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self._home, self._environment = home, environment
        self._is_kept = False

    def up(self) -> None:
        """Start the platform in the background.

        Raises:
            DemoFailed: It does not start.
        """
        self._run("up", "--detach", "--flower-port", str(free_port()), timeout=START_S)

    def leave_running(self) -> None:
        """Let :meth:`down` do nothing from now on."""
        self._is_kept = True

    def down(self) -> None:
        """Stop the platform, unless it is to be left running.

        Raises:
            DemoFailed: It does not stop.
        """
        if not self._is_kept:
            self._run("down", timeout=STOP_S)

    def status(self) -> dict[str, Any]:
        """Return what ``perdure status --json`` says.

        Raises:
            DemoFailed: Nothing is running.
        """
        status: dict[str, Any] = json.loads(self._run("status", "--json", timeout=STATUS_S))
        return status

    def worker_pid(self, bulkhead: str) -> int:
        """Return the process id of a bulkhead's worker (its main process).

        Raises:
            DemoFailed: There is none.
        """
        for process in self.status()["processes"]:
            if process["role"] == "worker" and process["bulkhead"] == bulkhead:
                return int(process["pid"])
        raise DemoFailed(f"perdure status knows no worker of bulkhead {bulkhead!r}")

    def _run(self, *arguments: str, timeout: float) -> str:
        command = [sys.executable, "-m", "perdure_workers", "--home", str(self._home), "-A", APP, *arguments]
        done = subprocess.run(  # noqa: S603 - our own command line
            command, env=self._environment, capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            raise DemoFailed(f"`perdure {' '.join(arguments)}` ended with {done.returncode}: {said}")
        return done.stdout


class ReceiverProcess:
    """The receiver, in a process of its own that ends with this one.

    Args:
        folder: Where it keeps its records.
        environment: Its environment; has the secret.
        seed: What decides which deliveries fail.
    """

    def __init__(self, folder: Path, environment: dict[str, str], seed: int) -> None:
        port_file = folder / "receiver.port"
        port_file.unlink(missing_ok=True)
        files = ["--records", str(folder / "received.jsonl"), "--port-file", str(port_file)]
        command = [sys.executable, "-m", "perdure_workers.demo.receiver", *files, "--seed", str(seed)]
        self._process = subprocess.Popen(command, env=environment, preexec_fn=end_with_parent())  # noqa: S603
        try:
            self.url = f"http://127.0.0.1:{self._port(port_file)}"
        except BaseException:
            self.stop()
            raise

    def repair(self) -> None:
        """Remove the fault of the endpoint ``/poison``."""
        httpx.post(f"{self.url}/repair", timeout=10.0, trust_env=False).raise_for_status()

    def report(self) -> dict[str, int]:
        """Return what the receiver got; see :meth:`Records.report`."""
        answer = httpx.get(f"{self.url}/report", timeout=10.0, trust_env=False)
        counts: dict[str, int] = answer.raise_for_status().json()
        return counts

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait(timeout=10.0)

    def _port(self, file: Path) -> int:
        give_up_at = time.monotonic() + START_S
        while not file.exists():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise DemoFailed(f"the receiver did not start (exit code {self._process.returncode})")
            time.sleep(0.02)
        return int(file.read_text())
