"""What befell the platform in the last hour and how it recovered, on one axis of time. Read in a thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from perdure.ledger import minutes
from perdure.ledger.jobs.history import Ended
from perdure.model.alerts.alert import Alert
from perdure.model.clock import to_datetime
from perdure.resilience.breaker.events import BreakerSnapshot

if TYPE_CHECKING:
    from perdure import Perdure

#: How far the axis goes back, and how many changes of one kind are looked at.
HOUR, EVENTS = timedelta(hours=1), 100


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that went wrong, or was right again.

    Attributes:
        at: When; of crashes, when their minute began, and of jobs that ran again, when it ended.
        row: What it belongs to: the row of the picture.
        kind: ``bad``, ``waiting`` for what may pass by itself, or ``good``.
        text: What it was.
    """

    at: datetime
    row: str
    kind: str
    text: str


def happenings(
    app: Perdure, hour: Sequence[Sequence[Ended] | None], breakers: Sequence[BreakerSnapshot], now: datetime
) -> list[Happening]:
    """Return what happened in the last hour, the newest first.

    Args:
        app: The application.
        hour: What ended in each of the last minutes, the current one last.
        breakers: The circuit breakers as they are now.
        now: The end of the hour.
    """
    since = now - HOUR
    found = [
        *_workers(app),
        *_crashes(hour, now),
        *_recoveries(app, since, now),
        *_breakers(app, breakers, since),
        *_switches(app, since),
        *_alerts(app, since),
    ]
    return sorted((one for one in found if one.at >= since), key=lambda one: one.at, reverse=True)


def _workers(app: Perdure) -> Iterator[Happening]:
    for event in app.workers.events(limit=EVENTS):
        if event.at is not None and event.is_alarming:
            noticed = "" if event.silence is None else f" (noticed after {event.silence:.1f} s)"
            yield Happening(event.at, "Workers", "bad", f"{event.name} {event.target}: {event.reason}{noticed}")
        elif event.at is not None and event.is_recovery:
            yield Happening(event.at, "Workers", "good", f"{event.name} is back: {event.reason}")


def _crashes(hour: Sequence[Sequence[Ended] | None], now: datetime) -> Iterator[Happening]:
    current = now.replace(second=0, microsecond=0)
    for ago, minute in enumerate(reversed(hour)):
        for one in minute or ():
            if one.crashed:
                text = (
                    f"{one.crashed} {'attempt' if one.crashed == 1 else 'attempts'} of {one.task} in {one.bulkhead} crashed"
                )
                yield Happening(current - timedelta(minutes=ago), "Crashes", "bad", text)


def _recoveries(app: Perdure, since: datetime, now: datetime) -> Iterator[Happening]:
    found = app.ledger.direct(lambda c: minutes.each_of(c, minutes.RECOVERED, since.timestamp()))
    for bulkhead, counts in found.items():
        for minute, count in counts.items():
            end = datetime.fromtimestamp((minute + 1) * 60, UTC)
            text = f"{count.good} {'job' if count.good == 1 else 'jobs'} in {bulkhead} ran again after a crash"
            yield Happening(min(end, now), "Crashes", "good", text)


def _breakers(app: Perdure, breakers: Sequence[BreakerSnapshot], since: datetime) -> Iterator[Happening]:
    kinds = {"open": "bad", "half_open": "waiting", "closed": "good"}
    for name in (one.name for one in breakers if one.since is not None and one.since >= since.timestamp()):
        for change in app.breakers[name].history():
            at = datetime.fromtimestamp(change.at_ms / 1000, UTC)
            text = f"breaker {name} {change.to_state.replace('_', '-')}: {change.reason}"
            yield Happening(at, "Breakers", kinds.get(change.to_state, "waiting"), text)


def _switches(app: Perdure, since: datetime) -> Iterator[Happening]:
    for group in app.failover.values():
        switched = group.snapshot().since
        for record in group.records() if switched is not None and switched >= since.timestamp() else ():
            text = f"{record.group} fails over from {record.from_member} to {record.to_member}: {record.reason}"
            yield Happening(datetime.fromtimestamp(record.at, UTC), "Failovers", "waiting", text)
    for backed in app.groups.values():
        for promotion in backed.promotions(limit=EVENTS):
            if promotion.at is not None:
                text = (
                    f"{promotion.primary} is the primary of {promotion.group} after {promotion.before}: {promotion.reason}"
                )
                yield Happening(promotion.at, "Failovers", "waiting", text)


def _alerts(app: Perdure, since: datetime) -> Iterator[Happening]:
    for alert in app.alerts.list(since=since.timestamp()):
        for moment, kind, what in ((alert.fired_at, "bad", "fires"), (alert.resolved_at, "good", "is over")):
            if (at := to_datetime(moment)) is not None:
                yield Happening(at, "Alerts", kind, f"{_named(alert)} {what}")


def _named(alert: Alert) -> str:
    about = ", ".join(alert.labels.values())
    return f"{alert.rule} ({about})" if about else alert.rule
