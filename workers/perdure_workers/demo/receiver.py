"""A webhook receiver as there are many: it checks signatures, does an event's work once, and fails at times.

``POST /hooks`` fails now and then on purpose, for each event the same way with the same seed. ``POST /poison`` fails
always, until ``POST /repair``. ``GET /report`` says what came. Run as a process of its own::

    python -m perdure_workers.demo.receiver --records received.jsonl --port-file receiver.port --seed 1
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from perdure_tasks.errors import SignatureInvalid
from perdure_tasks.signatures import verify
from perdure_workers.demo.records import Records

#: The environment variable that has the secret shared with the sender.
SECRET_VARIABLE = "PERDURE_WEBHOOK_SECRET_DEMO"  # noqa: S105 - the name of a variable

#: How many times an event is refused before it is taken, and how likely each is.
REFUSALS, WEIGHTS = (0, 1, 2), (80, 15, 5)
#: How it is refused; ``lost`` does the work and drops the connection before it says so.
FAULTS = ("503", "500", "dropped", "lost")
RETRY_AFTER_S = 1


def planned_faults(seed: int, number: int) -> list[str]:
    """Return how the first deliveries of an event fail.

    Args:
        seed: The receiver's seed.
        number: The event's number.
    """
    rng = random.Random(f"{seed}:{number}")  # noqa: S311 - a plan, not a secret
    return [rng.choice(FAULTS) for _ in range(rng.choices(REFUSALS, WEIGHTS)[0])]


class Receiver(ThreadingHTTPServer):
    """The server.

    Args:
        records: Where it keeps what came.
        secret: What signatures are checked by.
        seed: What decides which deliveries fail.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, records: Records, secret: str, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.records, self.secret, self.seed = records, secret, seed
        self.is_broken = True
        self.in_turn = threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_GET(self) -> None:
        if self.path == "/report":
            self._answer(200, json.dumps(self.server.records.report()))
        else:
            self._answer(404, "no such page")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/repair":
            self.server.is_broken = False
            self._answer(200, "repaired")
        elif self.path in ("/hooks", "/poison"):
            with self.server.in_turn:  # a key's requests are counted one by one
                self._hook(body)
        else:
            self._answer(404, "no such page")

    def _hook(self, body: bytes) -> None:
        records, key = self.server.records, self.headers.get("Idempotency-Key", "")
        try:
            verify(self.server.secret, dict(self.headers.items()), body)
        except SignatureInvalid as error:
            records.note(key, "forged")
            self._answer(401, str(error))
            return
        fault = self._fault(body, records.tries(key))
        if fault is not None:
            self._fail(fault, key, body)
        elif records.is_done(key):
            records.note(key, "recognised")
            self._answer(200, "known already")
        else:
            records.note(key, "done", _event(body))
            self._answer(200, "done")

    def _fault(self, body: bytes, tries: int) -> str | None:
        if self.path == "/poison":
            return "500" if self.server.is_broken else None
        faults = planned_faults(self.server.seed, json.loads(body)["data"]["number"])
        return faults[tries] if tries < len(faults) else None

    def _fail(self, fault: str, key: str, body: bytes) -> None:
        does_work = fault == "lost" and not self.server.records.is_done(key)
        self.server.records.note(key, fault, _event(body) if does_work else None)
        if fault == "503":
            self._answer(503, "too busy just now", {"Retry-After": str(RETRY_AFTER_S)})
        elif fault == "500":
            self._answer(500, "something went wrong")
        else:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        content = text.encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Stay silent: the report says it all."""


def _event(body: bytes) -> str:
    """Return what an event is about, without when it was submitted."""
    return json.dumps(json.loads(body)["data"], sort_keys=True)


def main() -> None:
    """Serve until the process is ended, having written the port to a file."""
    parser = argparse.ArgumentParser(description="A webhook receiver that fails at times.")
    parser.add_argument("--records", type=Path, required=True)
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    server = Receiver(Records(options.records), os.environ[SECRET_VARIABLE], options.seed)
    temporary = options.port_file.with_suffix(".new")
    temporary.write_text(str(server.server_port))
    temporary.replace(options.port_file)  # whoever waits for the file reads it whole
    server.serve_forever()


if __name__ == "__main__":
    main()
