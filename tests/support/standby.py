"""A PostgreSQL with a standby that streams from it, each commit on both before it is answered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from perdure.system.ports import LOOPBACK
from perdure_workers.embedded import standby as standbys
from perdure_workers.embedded.postgres import SUPERUSER, PostgresServer
from perdure_workers.embedded.standby import administer, copy_for_standby
from support.waiting import wait_until

NAME = "perdure_both"


@dataclass
class Pair:
    """The two servers."""

    primary: PostgresServer
    standby: PostgresServer

    @property
    def url(self) -> str:
        """URL of the ledger on whichever takes writes; the first one does not."""
        hosts = f"{LOOPBACK}:{self.standby.port},{LOOPBACK}:{self.primary.port}"
        return f"postgresql://{SUPERUSER}:{self.primary.password}@{hosts}/{NAME}"

    def kill_primary(self) -> None:
        """End all of its processes at once."""
        standbys.lose(self.primary)

    def promote(self) -> None:
        """Have the standby take writes."""
        standbys.promote(self.standby)


@contextmanager
def streaming_pair(folder: Path) -> Iterator[Pair]:
    """Run both, with an empty database for a ledger."""
    with PostgresServer(folder / "primary", die_with_parent=True, fast_unsafe_for_tests=True) as primary:
        primary.create_database(NAME)
        # A standby must get each commit before it is answered; the test server's own setting would not wait for it.
        administer(primary, f"ALTER DATABASE {NAME} SET synchronous_commit = on")
        copy_for_standby(primary, folder / "standby")
        with PostgresServer(folder / "standby", die_with_parent=True, fast_unsafe_for_tests=True) as standby:
            administer(primary, "ALTER SYSTEM SET synchronous_standby_names = '*'")
            administer(primary, "SELECT pg_reload_conf()")
            wait_until(lambda: administer(primary, "SELECT sync_state FROM pg_stat_replication") == [("sync",)], 30)
            yield Pair(primary, standby)
