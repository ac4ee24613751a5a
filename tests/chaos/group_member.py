"""A member of the group in ``group_jobs``: a process of its own that keeps its operations in a file.

``python group_member.py FILE PORT_FILE``: one JSON line in, one out, on each connection. It refuses what comes under an
older epoch than the newest that it has heard of, as a store behind a group should.
"""

from __future__ import annotations

import json
import socketserver
import sys
from pathlib import Path
from typing import Any


class Member(socketserver.TCPServer):
    allow_reuse_address = True

    def __init__(self, file: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.file = file
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        self.done: dict[str, int] = {line["key"]: line["result"] for line in lines}
        self.epoch = max((line["epoch"] for line in lines), default=0)

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        if "key" not in asked:
            return {"done": len(self.done)}
        if asked["epoch"] < self.epoch:
            return {"fenced": self.epoch}
        self.epoch = asked["epoch"]
        if asked["key"] not in self.done:
            result = len(self.done) + 1 if asked.get("result") is None else asked["result"]
            self.done[asked["key"]] = result
            with self.file.open("a") as file:
                file.write(json.dumps({"key": asked["key"], "epoch": asked["epoch"], "result": result}) + "\n")
        return {"result": self.done[asked["key"]]}


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        line = self.rfile.readline()
        if line:
            self.wfile.write(json.dumps(self.server.answer(json.loads(line))).encode() + b"\n")  # type: ignore[attr-defined]


if __name__ == "__main__":
    with Member(Path(sys.argv[1])) as member:
        member.handle_error = lambda *_: None  # type: ignore[method-assign] # who asked has gone meanwhile
        new = Path(f"{sys.argv[2]}.new")
        new.write_text(str(member.server_address[1]))
        new.replace(sys.argv[2])
        member.serve_forever()
