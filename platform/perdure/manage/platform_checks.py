"""What the platform checks of itself.

Each check returns what it found in a few words, or raises what is wrong and what to do.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from perdure.errors import BulkheadFull, LedgerOutdated, PerdureError, SettingsError
from perdure.ledger.migrate import SCHEMA_VERSION
from perdure.manage.health import Health
from perdure.model.alerts.builtin import LEAST_FREE
from perdure.model.records import WorkerRecord
from perdure.model.worker_health import Verdict, is_barred

if TYPE_CHECKING:
    from celery import Celery

    from perdure.faults.faults import Faults
    from perdure.ledger import Ledger
    from perdure.ledger.partitions.dead_rows import DeadRows
    from perdure.resilience.breaker.breakers import Breakers
    from perdure.settings.settings import Settings

#: Seconds after which a duty that no supervisor has done counts as neglected; they report each ten seconds.
DUTY_PATIENCE = 60.0
#: Seconds by which this machine's clock may differ from the ledger's. Nothing is decided by it, but logs, ids and what
#: people see would be in another order than things happened.
MOST_OFF = 2.0
#: Dead rows in all of the ledger's tables, several times as many as rotations leave.
MOST_DEAD = 1_000_000
#: How long a node that was declared unfit is told of, and of how many changes of workers.
LATELY, EVENTS = timedelta(hours=1), 50


class ClockOff(PerdureError):
    """This machine's clock differs from the ledger's."""


class CircuitOpenNow(PerdureError):
    """Circuit breakers are open, so the jobs and calls behind them wait or fail."""


class Unserved(PerdureError):
    """Jobs wait in a bulkhead that no worker serves."""


class NodeInDoubt(PerdureError):
    """Workers were outvoted, or jobs have declared their nodes unfit."""


class WaitingTooLong(PerdureError):
    """Jobs have been waiting for longer than the setting ``queue_age_limit`` allows."""


class DutiesNeglected(PerdureError):
    """No supervisor has done what supervisors do for some time."""


class DeadRowsKept(PerdureError):
    """Dead rows pile up in the ledger, since somebody holds a transaction open."""


class DiskAlmostFull(PerdureError):
    """The data folder is running out of space."""


def platform_health(
    settings: Settings,
    ledger: Ledger,
    breakers: Callable[[], Breakers],
    celery: Callable[[], Celery],
    faults: Callable[[], Faults],
) -> Health:
    """Return the checks that every application has. Only those of the ledger are critical: without the rest jobs are
    accepted and kept all the same.

    Args:
        settings: The application's settings.
        ledger: Its ledger.
        breakers: Returns its circuit breakers.
        celery: Returns its Celery application.
        faults: Returns its injected faults.
    """
    health = Health()
    health.register("ledger", ledger.probe)
    health.register("schema", lambda: current(ledger))
    health.register("clock", lambda: exact(ledger), critical=False)
    health.register("broker", lambda: reached(settings, celery), critical=False)
    health.register("breaker_store", lambda: stored(settings), critical=False)
    health.register("breakers", lambda: closed(breakers()), critical=False)
    health.register("bulkheads", lambda: free(settings, ledger), critical=False)
    health.register("workers", lambda: served(settings, ledger), critical=False)
    health.register("nodes", lambda: sound(settings, ledger), critical=False)
    health.register("queue_age", lambda: young(settings, ledger), critical=False)
    health.register("duties", lambda: done(ledger), critical=False)
    health.register("disk", lambda: roomy(settings), critical=False)
    if ledger.database.dialect == "postgresql":
        health.register("dead_rows", lambda: vacuumed(ledger), critical=False)
    if settings.faults_allowed:
        health.register("faults", lambda: faults().check(), critical=False)
    return health


def reached(settings: Settings, celery: Callable[[], Celery]) -> None:
    """Reach the broker. In a Redis write a key: one that is full, or a replica, answers and takes no bells."""
    from perdure.resilience.redis.address import is_redis

    url = settings.effective_broker_url
    if is_redis(url):
        _written(url, settings.redis_prefix)
        return
    with celery().connection_for_write() as connection:
        connection.ensure_connection(max_retries=len(connection.alt) or 1, timeout=2)


def stored(settings: Settings) -> None:
    """Write a key to the Redis that breakers, permits and rate limits share; without it each process has its own."""
    _written(settings.effective_redis_url, settings.redis_prefix)


def _written(url: str, prefix: str) -> None:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    from perdure.resilience.redis.address import NO_CLUSTER, connect, is_cluster

    # Without redis-py's own retries, which take seconds to say that a Redis is away.
    with connect(url, socket_connect_timeout=2, socket_timeout=2, retry=Retry(NoBackoff(), 0)) as client:
        if is_cluster(client):
            raise SettingsError(NO_CLUSTER)
        client.set(f"{prefix}health", "1", px=1000)


def current(ledger: Ledger) -> str:
    """Check that the ledger's schema is this release's, also when somebody has changed it since this process began.

    Raises:
        LedgerOutdated: It is not.
    """
    found = ledger.schema_version()
    if found is not None and found != SCHEMA_VERSION:
        what = "run: perdure db upgrade" if found < SCHEMA_VERSION else "a newer release has upgraded it: restart with that"
        raise LedgerOutdated(f"the ledger has schema {found}, this release needs {SCHEMA_VERSION}; {what}")
    return f"schema {found or 'none yet'}"


def exact(ledger: Ledger, clock: Callable[[], float] = time.time) -> str:
    """Check that this machine's clock shows the ledger's time.

    Args:
        ledger: The ledger.
        clock: This machine's clock, in seconds since the epoch.

    Raises:
        ClockOff: It is off.
    """
    before = clock()
    there = ledger.clock()
    after = clock()
    off = max(before - there, there - after, 0.0)  # what the question took is no difference
    if off > MOST_OFF:
        raise ClockOff(
            f"this machine's clock differs from the ledger's by {off:.1f} s, more than {MOST_OFF:g} s. Is its time service "
            "running (chrony, systemd-timesyncd)?"
        )
    return f"{off:.3f} s off"


def closed(breakers: Breakers) -> None:
    """Check that no circuit breaker is open.

    Raises:
        CircuitOpenNow: One is.
    """
    snapshots = [breakers[name].snapshot() for name in breakers]
    if found := [f"{each.name} is {each.state}: {each.reason}" for each in snapshots if each.state != "closed"]:
        raise CircuitOpenNow("; ".join(found))


def free(settings: Settings, ledger: Ledger) -> None:
    """Check that each bulkhead takes more jobs.

    Raises:
        BulkheadFull: One does not.
    """
    bounded = {name: each.max_depth for name, each in settings.bulkheads.items() if each.max_depth is not None}
    if found := [name for name, most in bounded.items() if ledger.jobs.depth(name, most) >= most]:
        raise BulkheadFull(f"{', '.join(found)}: as many jobs wait as max_depth allows, so no more are taken")


def served(settings: Settings, ledger: Ledger) -> str:
    """Check that each bulkhead with waiting jobs has a worker.

    Raises:
        Unserved: One has none.
    """
    workers = [worker.bulkhead for worker in ledger.workers.listing() if not worker.draining]
    waiting = {name: each.queued for name, each in ledger.bulkheads.counts().items() if each.queued and not each.paused}
    if unserved := {name: queued for name, queued in waiting.items() if name not in workers}:
        found = ", ".join(
            f"{name} ({queued} {'job' if queued == 1 else 'jobs'})" for name, queued in sorted(unserved.items())
        )
        raise Unserved(f"no worker serves {found}. Start one: perdure worker {min(unserved)}")
    counts = {name: workers.count(name) for name in sorted({*settings.bulkheads, *workers})}
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def sound(settings: Settings, ledger: Ledger) -> None:
    """Check that no live worker has been outvoted since somebody trusted it, and that no node was declared unfit lately.

    Raises:
        NodeInDoubt: One was; for an hour at most, if it is a node whose worker has not come back.
    """
    live = ledger.workers.listing()
    fit = {each.name for each in live if each.unfit is None}
    since = datetime.now(UTC) - LATELY
    found = [_outvoted(each, settings.max_outvoted) for each in live if each.outvoted]
    found += [
        f"a job has declared the node of {event.name} unfit: {event.reason}"
        for event in ledger.workers.events(limit=EVENTS)
        if event.target == Verdict.UNFIT and event.name not in fit and event.at is not None and event.at > since
    ]
    if found:
        raise NodeInDoubt("; ".join(found))


def _outvoted(worker: WorkerRecord, most: int | None) -> str:
    barred = ", and is barred from votes" if is_barred(worker.outvoted, most) else ""
    return f"{worker.name} was outvoted {worker.outvoted} times{barred}. See why, then: perdure workers trust {worker.name}"


def young(settings: Settings, ledger: Ledger) -> str:
    """Check that no job waits for longer than ``queue_age_limit``, but for those of paused bulkheads.

    Raises:
        WaitingTooLong: One does.
    """
    limit = settings.queue_age_limit
    counts = ledger.bulkheads.counts()
    ages = {name: each.oldest_wait or 0.0 for name, each in counts.items() if not each.paused}
    if old := {name: age for name, age in ages.items() if age > limit}:
        found = ", ".join(f"{name} for {age:.0f} s" for name, age in sorted(old.items()))
        raise WaitingTooLong(
            f"jobs wait in {found}, longer than queue_age_limit = {limit:g} s. See what holds them: perdure why JOB"
        )
    return f"the oldest waits {max(ages.values(), default=0.0):.1f} s"


def done(ledger: Ledger) -> str:
    """Check that supervisors do their duties; all is well where none has run yet.

    Raises:
        DutiesNeglected: One has not been done for a minute.
    """
    ages = ledger.workers.duty_ages()
    if late := {name: age for name, age in ages.items() if age > DUTY_PATIENCE}:
        found = ", ".join(f"{name} for {age:.0f} s" for name, age in sorted(late.items()))
        raise DutiesNeglected(
            f"no supervisor has done {found}: dead workers, deadlines and periodic jobs are not seen to. Start a worker, "
            "or: perdure supervisor"
        )
    return f"done {max(ages.values()):.0f} s ago at most" if ages else "no supervisor has run yet"


def vacuumed(ledger: Ledger) -> Mapping[str, Any]:
    """Check that no transaction keeps dead rows in a ledger on PostgreSQL that nothing bounds any more.

    Raises:
        DeadRowsKept: One does.
    """
    found = ledger.partitions.dead_rows()
    if found.kept_for is not None and found.count > MOST_DEAD:
        raise DeadRowsKept(f"{told(found)}. End it; of a standby that is gone, drop the slot (pg_drop_replication_slot)")
    return asdict(found)


def told(dead: DeadRows) -> str:
    """Return what there is to say of dead rows that somebody keeps, and of tables that were rotated."""
    since = "" if dead.since is None else f" since {_moment(dead.since)}"
    kept = [] if dead.kept_for is None else [f"{dead.count:,} dead rows stay, kept for {dead.kept_for}{since}"]
    return "; ".join(kept + [f"{table} was rotated {_moment(at)}" for table, at in sorted(dead.rotated.items())])


def _moment(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="seconds")


def roomy(settings: Settings) -> str:
    """Check that the disk of the data folder has space.

    Raises:
        DiskAlmostFull: It has nearly none.
    """
    folder = existing_folder(settings.home_folder.path)
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        raise DiskAlmostFull(f"{folder} has {_megabytes(free)} of free space left. Make room before nothing can be written")
    return f"{_megabytes(free)} free"


def existing_folder(path: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    return next((folder for folder in (path, *path.parents) if folder.exists()), path)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
