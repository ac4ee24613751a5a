"""``ledger.alerts``: Statements on alerts."""

from __future__ import annotations

from collections.abc import Sequence

from perdure.ledger import minutes
from perdure.ledger.alerts import objectives, outbox, store, turn
from perdure.ledger.alerts.outbox import Notification
from perdure.ledger.alerts.turn import LastLook
from perdure.ledger.work import Work
from perdure.model.alerts.alert import Alert
from perdure.model.alerts.decide import Change
from perdure.model.alerts.notice import Notice, Route, Silence
from perdure.model.alerts.slo import Slo


class AlertStatements:
    """The alerts of a ledger.

    Args:
        work: Runs statements on the ledger's database.
    """

    def __init__(self, work: Work) -> None:
        self._work = work

    def take_turn(self, holder: str, lease: float) -> float | None:
        """Take the turn to look for alerts, and return the ledger's time; see :func:`turn.take`."""
        return self._work.direct(lambda c: turn.take(c, holder, lease))

    def last_look(self) -> LastLook | None:
        """Return who looked last, and how long ago."""
        return self._work.direct(turn.last)

    def count_on(self, slos: Sequence[Slo]) -> bool:
        """Count the next stretch of objectives' jobs; see :func:`objectives.count_on`."""
        return self._work.direct(lambda c: objectives.count_on(c, slos), autocommit=False, create=True)

    def open(self) -> list[Alert]:
        """Return all alerts that are pending or firing."""
        return self._work.direct(store.open_alerts)

    def listing(
        self, *, phases: Sequence[str], rule: str | None = None, since: float | None = None, limit: int = 100
    ) -> list[Alert]:
        """Return alerts, the newest first; see :func:`store.listing`."""
        return self._work.direct(lambda c: store.listing(c, phases=phases, rule=rule, since=since, limit=limit))

    def apply(self, changes: Sequence[Change], routes: Sequence[Route]) -> int:
        """Write changes and what notifiers are told of them; see :func:`store.apply`."""
        return self._work.direct(lambda c: store.apply(c, changes, routes), autocommit=False, create=True)

    def silences(self) -> list[Silence]:
        """Return the silences that have not ended."""
        return self._work.direct(store.active_silences)

    def silence(self, rule: str, labels: dict[str, str], lasts: float, reason: str, by: str) -> Silence:
        """Write a silence and return it."""
        return self._work.direct(lambda c: store.silence(c, rule, labels, lasts, reason, by), create=True)

    def end_silence(self, silence_id: str) -> bool:
        """End a silence now and return whether it had not ended."""
        return self._work.direct(lambda c: store.end_silence(c, silence_id), create=True)

    def send(self, notices: Sequence[Notice]) -> None:
        """Write notices that are to be sent, such as tests of notifiers."""
        self._work.direct(lambda c: outbox.add(c, notices), create=True)

    def due(self, page: int, notifiers: Sequence[str]) -> list[str]:
        """Return ids of notifications that somebody is to send now."""
        return self._work.direct(lambda c: outbox.due(c, page, notifiers))

    def claim(self, notification_id: str, sender: str, lease: float, fence: int | None = None) -> Notification | None:
        """Claim a notification; see :func:`outbox.claim`."""
        return self._work.hot(lambda c: outbox.claim(c, notification_id, sender, lease, fence))

    def sent(self, notification: Notification) -> bool:
        """Note that a notification was sent."""
        return self._work.hot(lambda c: outbox.sent(c, notification))

    def failed(self, notification: Notification, error: str, delay: float | None) -> bool:
        """Note that a try failed; see :func:`outbox.failed`."""
        return self._work.hot(lambda c: outbox.failed(c, notification, error, delay))

    def postpone(self, notification: Notification, delay: float) -> bool:
        """Give a claimed notification to a job; see :func:`outbox.postpone`."""
        return self._work.hot(lambda c: outbox.postpone(c, notification, delay))

    def notifications(self, *, rule: str | None = None, limit: int = 50) -> list[Notification]:
        """Return notifications, the newest first."""
        return self._work.direct(lambda c: outbox.listing(c, rule=rule, limit=limit))

    def prune(self, retention: float, page: int) -> int:
        """Delete a page of alerts, notifications and silences that ended ``retention`` seconds ago, and of old counts."""
        return self._work.direct(
            lambda c: store.prune(c, retention, page) + minutes.prune(c, page), autocommit=False, create=True
        )
