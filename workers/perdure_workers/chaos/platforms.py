"""What scenarios break, as far as they need to know: a platform of the lab's own, or one that runs already."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

import psutil
import sqlalchemy as sa

from perdure import Perdure

LedgerKind = Literal["sqlite", "postgresql"]
Target = Literal["worker", "child", "supervisor", "flower", "everything"]

#: The bulkhead in which nearly all of the work is; its workers are those that are hit.
BUSY = "normal"


class Platform(Protocol):
    """A platform.

    Attributes:
        app: What the lab looks through.
        folder: Where jobs and submitters write down what they do.
        max_crashes: Crashes after which a job is a dead letter.
        prefix: Begins the keys of this run's jobs.
        since: When the run began, in seconds since the epoch by the ledger's clock; None when all jobs are of it.
    """

    app: Perdure
    folder: Path
    max_crashes: int
    prefix: str
    since: float | None

    @property
    def redis_url(self) -> str:
        """The Redis of its broker, past the network that is broken."""

    @property
    def has_own_redis(self) -> bool:
        """Whether nobody else uses that Redis."""

    def client(self) -> Perdure:
        """Return the application as a client of the platform has it."""

    def engine(self) -> sa.Engine:
        """Return the ledger's database, past the network that is broken."""

    def pids(self, target: Target) -> list[int]:
        """Return the processes of a kind that run now."""

    def keep(self) -> None:
        """Start again what has ended, unless somebody else does."""

    def is_ready(self) -> bool:
        """Tell whether all runs that has to run."""


def children_of(pid: int | None) -> list[int]:
    """Return the processes that a process has made, none if it is gone."""
    try:
        return [child.pid for child in psutil.Process(pid).children()] if pid else []
    except psutil.NoSuchProcess:
        return []
