"""Telling people that the ledger is away, which holds all else that is to be told.

Who tells them is decided in Redis, by a key that the teller renews. While Redis is away as well every supervisor tells
them, under an id of its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from redis import RedisError

from perdure import Perdure
from perdure.ledger.alerts.outbox import Notification
from perdure.model.alerts.alert import Alert, Phase
from perdure.model.alerts.notice import Event
from perdure.model.alerts.rule import Severity
from perdure.model.ids import new_id
from perdure.resilience.redis.address import connect
from perdure_workers.notifiers.senders import send

logger = logging.getLogger("perdure.alerts")

RULE = "ledger_unavailable"
TODO = "Nothing can be submitted, claimed or settled. See that the ledger's database runs and can be reached."
#: Seconds that the ledger has to be away before people are told.
HOLD = 30.0


class LedgerOutage:
    """One absence of the ledger as this supervisor sees it.

    Args:
        app: The application.
        monotonic: Returns seconds that never go back.
    """

    def __init__(self, app: Perdure, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._monotonic = monotonic
        self._began: tuple[float, float] | None = None
        self._told: Alert | None = None

    def goes_on(self, why: str) -> None:
        """Note that the ledger is away, and tell people once it has been for long enough."""
        if self._began is None:
            self._began = self._monotonic(), time.time()
        monotonic, since = self._began
        if self._monotonic() - monotonic < HOLD or not self._is_mine():
            return
        if self._told is None:
            alert = Alert(new_id(), RULE, {}, Severity.CRITICAL, Phase.FIRING, 1.0, why, since, fired_at=time.time())
            self._told = alert
            self._tell(Event.FIRING, alert)

    def is_over(self) -> None:
        """Note that the ledger is there, and tell so whoever was told that it was away."""
        told, self._told, self._began = self._told, None, None
        if told is not None:
            self._tell(Event.RESOLVED, told)

    def _is_mine(self) -> bool:
        """Return whether this supervisor is the one that tells; the key is its own as long as it comes back."""
        settings = self._app.settings
        key, lease = f"{settings.redis_prefix}alerts:{RULE}", int(3 * max(settings.alerts.every, 1.0) * 1000)
        me = self._app.alerts.holder
        try:
            with connect(settings.effective_redis_url, socket_connect_timeout=2, socket_timeout=2) as client:
                if client.set(key, me, nx=True, px=lease):
                    return True
                held = client.get(key)
                mine = (held.decode() if isinstance(held, bytes) else held) == me
                return bool(mine and client.pexpire(key, lease))
        except RedisError:
            return True

    def _tell(self, event: Event, alert: Alert) -> None:
        for route in self._app.alerts.routes():
            if not route.takes(alert):
                continue
            settings = self._app.settings.alerts.notifiers[route.notifier]
            moment = time.time()
            what = Notification(new_id(), route.notifier, RULE, event, (alert,), moment, None, 0, 1, None, None, None)
            try:
                send(settings, what, TODO)
            except Exception as error:  # noqa: BLE001 - the other notifiers are told all the same
                logger.warning("notifier %s was not told that the ledger is away: %s", route.notifier, type(error).__name__)
