"""How scenarios are run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from perdure import Perdure
from perdure_workers.chaos.platforms import LedgerKind


@dataclass(frozen=True, slots=True)
class How:
    """How scenarios are run.

    Attributes:
        duration: Seconds in which the faults happen.
        seed: What decides what is hit, and what is submitted.
        ledger: The kind of the ledger's database.
        folder: Where reports, logs and evidence go.
        app_path: Where workers of the lab's own platform find the application.
        running: The application of a platform that runs already and is to be broken in place of one of the lab's own.
    """

    duration: float
    seed: int
    ledger: LedgerKind
    folder: Path
    app_path: str
    running: Perdure | None = None

    def command(self, scenario: str) -> str:
        """Return the command that repeats a scenario."""
        where = "--running" if self.running else f"--ledger {self.ledger}"
        return f"perdure chaos run {scenario} --duration {self.duration:g} --seed {self.seed} {where}"
