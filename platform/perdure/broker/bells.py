"""Bells: messages that say "there is work in this bulkhead", and nothing else. Workers look into the ledger then.

A bell names no job and carries no arguments. One that is lost costs a second, the time between two looks that a worker
takes by itself; one that is forged, doubled or late makes a worker look once more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from redis import ConnectionError

from perdure.broker.queues import BELL, EMPTY_CALL, MOST, queue_name
from perdure.model.faults.places import BROKER, Point, faulty
from perdure.model.ids import new_id
from perdure.resilience.redis.address import is_redis
from perdure.resilience.redis.link import RedisLink, SharedStateUnavailable
from perdure.system.fork_gate import gate

if TYPE_CHECKING:
    from celery import Celery

logger = logging.getLogger("perdure.bells")

#: Seconds for which a queue that was full is taken to be so. A job that comes after its last bell was answered, and before
#: that time is over, waits until workers look by themselves.
FULL_FOR = 0.002
#: Seconds between two bells of a bulkhead on a broker that is not Redis, where nobody can look at the queue first.
INTERVAL = 0.05
#: Seconds for which such a broker is left alone after it was not reached, since each try may take its whole timeout.
AWAY_FOR = 1.0

#: As kombu's Redis transport writes a message of Celery's protocol 2 without arguments.
_MESSAGE = (
    '{{"body": "' + EMPTY_CALL + '", "content-encoding": "utf-8", "content-type": "application/json", '
    '"headers": {{"lang": "py", "task": "perdure.bell", "id": "{id}", "root_id": "{id}"}}, '
    '"properties": {{"correlation_id": "{id}", "delivery_mode": 2, "priority": 0, "body_encoding": "base64", '
    '"delivery_info": {{"exchange": "", "routing_key": "{queue}"}}, "delivery_tag": "{id}"}}}}'
)


class Bells:
    """Rings bells.

    Args:
        broker_url: The broker.
        celery: Returns the Celery application, for brokers other than Redis; others do without Celery.
        prefix: Begins each of the application's queues in Redis, as kombu's ``global_keyprefix`` does.
    """

    def __init__(self, broker_url: str, celery: Callable[[], Celery], prefix: str = "") -> None:
        self._celery = celery
        self._prefix = prefix
        self._is_redis = is_redis(broker_url)
        self._link = RedisLink(broker_url, what="bells") if self._is_redis else None
        self._rung_at: dict[str, float] = {}
        self._away_until = 0.0
        self._full_until: dict[str, float] = {}

    def ring(self, bulkhead: str, count: int = 1) -> bool:
        """Ring for work in a bulkhead; return False when the broker was not reached, which loses nothing.

        Args:
            bulkhead: Where there is work.
            count: How many could begin with it at once.
        """
        queue = queue_name(bulkhead)
        if self._link is None:
            return self._publish(queue, bulkhead)
        if count and time.monotonic() < self._full_until.get(queue, 0.0):
            return True
        link = self._link
        messages = [_MESSAGE.format(id=new_id(), queue=queue) for _ in range(min(count, MOST))]

        def ring() -> Any:
            return link.scripts.run("ring", [self._prefix + queue], [MOST, *messages])

        try:
            with gate:
                rung = link.run(faulty(ring, Point.RING, ConnectionError, store=BROKER, bulkhead=bulkhead))
        except SharedStateUnavailable:
            return False
        if rung < len(messages):
            self._full_until[queue] = time.monotonic() + FULL_FOR
        return True

    def hush(self, bulkhead: str) -> None:
        """Cut a queue that was flooded with bells down to those that can wake somebody."""
        if self._is_redis:
            self.ring(bulkhead, 0)

    def _publish(self, queue: str, bulkhead: str) -> bool:
        moment = time.monotonic()
        if moment < self._away_until:
            return False
        if moment - self._rung_at.get(queue, 0.0) < INTERVAL:
            return True
        self._rung_at[queue] = moment
        celery: Any = self._celery()
        send = faulty(celery.send_task, Point.RING, ConnectionError, store=BROKER, bulkhead=bulkhead)
        try:
            with gate:
                send(BELL, queue=queue, ignore_result=True, retry=False)
        except Exception as error:  # noqa: BLE001 - any transport's own errors; the job is in the ledger already
            self._away_until = time.monotonic() + AWAY_FOR
            logger.warning("the broker is not reached: %s", error)
            return False
        return True
