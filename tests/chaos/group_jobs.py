"""The application of the test of failing over: a group whose members are processes of their own."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

from chaos_jobs import FOLDER

from perdure import Perdure
from perdure.manage.group_failover import GroupFailover
from perdure.manage.primary_backup import Operation


class Client:
    """Asks the member of a name, wherever it listens now."""

    def __init__(self, name: str, folder: Path = FOLDER) -> None:
        self.name, self.port_file = name, folder / f"{name}.port"

    def ask(self, **what: Any) -> dict[str, Any]:
        port = int(self.port_file.read_text())
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection, connection.makefile("rw") as stream:
            stream.write(json.dumps(what) + "\n")
            stream.flush()
            if not (line := stream.readline()):
                raise ConnectionResetError(f"{self.name} hung up")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def run(self, operation: Operation) -> int:
        result: int = self.ask(key=operation.key, epoch=operation.epoch)["result"]
        return result

    def copy(self, operation: Operation, result: int) -> None:
        self.ask(key=operation.key, epoch=operation.epoch, result=result)


def build(**settings: Any) -> Perdure:
    app = Perdure(**settings)
    app.primary_backup(
        "stock",
        {name: Client(name) for name in ("eu", "us", "ap")},
        Client.run,
        Client.copy,
        check=Client.ask,
        failover=GroupFailover(check_interval=0.3, check_timeout=1.0),
        retry="none",
    )

    @app.groups["stock"].on_promotion
    def tell(promotion: Any) -> None:
        with (FOLDER / "promotions").open("a") as file:
            file.write(f"{promotion.epoch} {promotion.before} {promotion.primary} {os.getpid()}\n")

    return app


app = build()
