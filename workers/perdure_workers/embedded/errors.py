"""Errors of the embedded servers."""

from __future__ import annotations

from pathlib import Path

from perdure.errors import PerdureError

LOG_TAIL_LINES = 15
"""Lines of a server's log that an error message quotes: enough for a cause, short enough for a terminal."""


class ServerBinaryMissing(PerdureError):
    """No executable of the server is installed on this machine."""


class ServerStartFailed(PerdureError):
    """An embedded server ended before it was ready, or was not ready in time; the message quotes its log."""


class PortTaken(ServerStartFailed):
    """The port that was asked for belongs to another process."""

    def __init__(self, server: str, port: int, address: str = "127.0.0.1") -> None:
        super().__init__(
            f"{server} cannot listen on {address}:{port}: another process has that port. "
            "Choose another one, or leave the port out to get a free one."
        )
        self.port = port


def log_tail(path: Path, lines: int = LOG_TAIL_LINES) -> str:
    """Return the last lines of a log file, or a note that there is none."""
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return f"({path} was not written)"
    return "\n".join(text.splitlines()[-lines:]) or f"({path} is empty)"
