"""What the rules are judged by, read in one go by a few statements; what cannot be read is left out, and said."""

from __future__ import annotations

import logging
import shutil
import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct, field

from perdure.errors import LedgerUnavailable
from perdure.ledger import minutes
from perdure.ledger.bulkheads import BulkheadCounts
from perdure.ledger.schedules import schedule_facts
from perdure.ledger.schedules.schedule_facts import Pause
from perdure.manage.health import CheckResult
from perdure.manage.platform_checks import existing_folder
from perdure.model.alerts.builtin import FAILURE_WINDOW
from perdure.model.alerts.slo import DAY, WINDOWS, Count, Slo
from perdure.model.clock import to_datetime
from perdure.model.dead_letter import DeadLetterGroup
from perdure.model.records import WorkerRecord
from perdure.model.worker_health import WorkerEvent
from perdure.resilience.breaker.events import BreakerSnapshot

if TYPE_CHECKING:
    from perdure.ledger import Ledger
    from perdure.manage.health import Health
    from perdure.resilience.breaker.breakers import Breakers
    from perdure.settings.settings import Settings

logger = logging.getLogger("perdure.alerts")

#: Faults, and changes of workers' states, that are looked at.
GROUPS, EVENTS = 50, 50
#: Seconds of the past whose depth a backlog is compared with.
BACKLOG_WINDOW = 300.0
#: Looks for which a health report will do: it takes connections of its own to Redis, and as many statements as a look.
HEALTH_LOOKS = 2.5

T = TypeVar("T")


class Facts(Struct, frozen=True):
    """What there is now. A source that could not be read is None.

    Attributes:
        now: The ledger's time, epoch seconds.
        bulkheads: What is in each bulkhead.
        depths_before: Jobs that waited there five minutes ago.
        workers: Live workers.
        events: Changes of workers' states, the newest first.
        groups: Faults with open letters, those with the newest letters first.
        recent: Counts of the last five minutes by series; see :mod:`perdure.ledger.minutes`.
        slos: For each objective and window in seconds, what it counts.
        breakers: Circuit breakers.
        checks: What health checks found.
        pauses: Paused schedules.
        known_schedules: Schedules of this application.
        disk: Host, and free bytes of the data folder there.
    """

    now: float
    bulkheads: Mapping[str, BulkheadCounts] = field(default_factory=dict)
    depths_before: Mapping[str, int] = field(default_factory=dict)
    workers: Sequence[WorkerRecord] = ()
    events: Sequence[WorkerEvent] = ()
    groups: Sequence[DeadLetterGroup] = ()
    recent: Mapping[str, Count] = field(default_factory=dict)
    slos: Mapping[tuple[Slo, float], Count] = field(default_factory=dict)
    breakers: Sequence[BreakerSnapshot] | None = ()
    checks: Sequence[CheckResult] | None = ()
    pauses: Mapping[str, Pause] = field(default_factory=dict)
    known_schedules: Sequence[str] = ()
    disk: tuple[str, int] | None = None

    @property
    def moment(self) -> datetime:
        """``now`` as a datetime."""
        found = to_datetime(self.now)
        assert found is not None
        return found


class Sources(Struct, frozen=True):
    """Where facts come from: an application's parts."""

    settings: Settings
    ledger: Ledger
    health: Health
    breakers: Callable[[], Breakers]
    schedules: Callable[[], Sequence[str]]


def read(sources: Sources, now: float, slos: Sequence[Slo]) -> Facts:
    """Return what there is now.

    Args:
        sources: Where to read.
        now: The ledger's time, epoch seconds.
        slos: The objectives whose counts are wanted.

    Raises:
        LedgerUnavailable: The ledger cannot be read.
    """
    ledger, health_age = sources.ledger, HEALTH_LOOKS * sources.settings.alerts.every
    bulkheads = ledger.bulkheads.counts()
    if depths := {name: one.queued for name, one in bulkheads.items() if one.queued}:
        ledger.direct(lambda c: minutes.note_depths(c, now, depths))
    recent, before = ledger.direct(lambda c: minutes.recent(c, now, FAILURE_WINDOW, BACKLOG_WINDOW))
    schedules = sources.schedules()
    return Facts(
        now,
        bulkheads=bulkheads,
        depths_before=before,
        workers=ledger.workers.listing(),
        events=ledger.workers.events(limit=EVENTS),
        groups=ledger.letters.groups(open_only=True, order="last_seen", limit=GROUPS),
        recent=recent,
        slos=slo_counts(ledger, slos, now, [each for window in WINDOWS for each in (window.long, window.short)]),
        breakers=_or_none("breakers", lambda: _shared(sources.breakers().snapshots())),
        checks=_or_none("health checks", lambda: sources.health(max_age=health_age).checks),
        pauses=ledger.direct(schedule_facts.pauses) if schedules else {},
        known_schedules=schedules,
        disk=_or_none("the disk", lambda: _disk(sources.settings)),
    )


def slo_counts(ledger: Ledger, slos: Sequence[Slo], now: float, windows: Sequence[float]) -> dict[tuple[Slo, float], Count]:
    """Return what each objective counts in each window.

    Args:
        ledger: Where to read.
        slos: The objectives.
        now: The ledger's time, epoch seconds.
        windows: Lengths in seconds, up to a day by minutes and longer ones by hours.
    """
    series = [f"{minutes.SLO}{slo.name}" for slo in slos]
    if not series:
        return {}
    found: dict[tuple[Slo, float], Count] = {}
    for seconds in sorted(set(windows)):
        span = minutes.MINUTE if seconds < DAY else minutes.HOUR
        since = now - seconds
        summed = ledger.direct(lambda c, span=span, since=since: minutes.sums(c, span, since, series))  # type: ignore[misc]
        found |= {(slo, seconds): summed.get(name, Count()) for slo, name in zip(slos, series, strict=True)}
    return found


def _shared(snapshots: Sequence[BreakerSnapshot]) -> Sequence[BreakerSnapshot] | None:
    """Return breakers as all processes see them; None while Redis is away and each process has its own."""
    return snapshots if all(one.shared for one in snapshots) else None


def _disk(settings: Settings) -> tuple[str, int]:
    return socket.gethostname(), shutil.disk_usage(existing_folder(settings.home_folder.path)).free


def _or_none(what: str, read_it: Callable[[], T]) -> T | None:
    try:
        return read_it()
    except LedgerUnavailable:
        raise
    except Exception as error:  # noqa: BLE001 - rules that need it wait; the others are looked at
        logger.warning("%s cannot be read for alerts: %s", what, error)
        return None
