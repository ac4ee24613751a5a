"""Errors of the process manager."""

from __future__ import annotations

from pathlib import Path

from perdure.errors import PerdureError


class AlreadyUp(PerdureError):
    """Another ``perdure up`` runs on the same home folder."""

    def __init__(self, home: Path, pid: int | None) -> None:
        who = f"process {pid}" if pid else "another process"
        super().__init__(
            f"perdure up already runs on {home}: {who}. See it: perdure status --home {home}. "
            f"End it: perdure down --home {home}. Or choose another folder by --home."
        )
        self.home, self.pid = home, pid


class NotUp(PerdureError):
    """No ``perdure up`` runs on this home folder."""

    def __init__(self, home: Path) -> None:
        super().__init__(f"perdure up does not run on {home}. Start it: perdure up --home {home}")
        self.home = home


class ProcessStartFailed(PerdureError):
    """A process of ``perdure up`` ended before it was ready, or was not ready in time; the message quotes its log."""


class StillUp(PerdureError):
    """``perdure up`` did not end in time, not even by force."""
