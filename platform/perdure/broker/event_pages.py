"""Celery's events as a worker's child tells them: pages of many in one message, for what watches Celery applications."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.model.ids import new_id
from perdure.resilience.redis.address import RedisAddress, is_redis
from perdure.resilience.redis.link import connect

if TYPE_CHECKING:
    from celery import Celery

Page = Sequence[Mapping[str, Any]]

#: What Celery's receivers of several events listen to.
ROUTING_KEY = "task.multi"
_JSON = {"content_type": "application/json", "content_encoding": "utf-8"}


class EventPages:
    """Publishes pages of events. Make it before children are forked, who share its memory and no connection.

    Args:
        broker_url: The broker.
        celery: The Celery application: it names the exchange, and publishes to brokers other than Redis.
        prefix: Begins each of the application's channels in Redis, as kombu's ``global_keyprefix`` does.
    """

    def __init__(self, broker_url: str, celery: Celery, prefix: str = "") -> None:
        app: Any = celery
        self._exchange = str(app.conf.event_exchange)
        self._publish: Callable[[bytes, str], object] = (
            _ByRedis(broker_url, self._exchange, prefix) if is_redis(broker_url) else _ByKombu(app, self._exchange)
        )

    def publish(self, page: Page, worker: str) -> None:
        """Publish a page of events of a worker; raises whatever the broker's transport raises."""
        self._publish(msgspec.json.encode(page), worker)


class _ByRedis:
    """Writes what kombu's Redis transport writes, without it: to connect by kombu and publish takes 4 MB of a child."""

    def __init__(self, broker_url: str, exchange: str, prefix: str) -> None:
        self._redis = connect(broker_url)
        self._channel = f"{prefix}/{RedisAddress.parse(broker_url).db}.{exchange}/{ROUTING_KEY}"
        self._delivery = {"exchange": exchange, "routing_key": ROUTING_KEY}

    def __call__(self, body: bytes, worker: str) -> None:
        message = {
            "body": b64encode(body).decode(),
            "content-encoding": _JSON["content_encoding"],
            "content-type": _JSON["content_type"],
            "headers": {"hostname": worker},
            "properties": {
                "delivery_mode": 1,
                "delivery_info": self._delivery,
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": new_id(),
            },
        }
        self._redis.publish(self._channel, msgspec.json.encode(message))


class _ByKombu:
    """Publishes to any broker; connects at the first page, and anew after one that failed."""

    def __init__(self, celery: Any, exchange: str) -> None:
        self._celery = celery
        self._exchange = exchange
        self._producer: Any = None

    def __call__(self, body: bytes, worker: str) -> None:
        producer, self._producer = self._producer or self._connected(), None
        headers = {"hostname": worker}
        producer.publish(
            body.decode(), routing_key=ROUTING_KEY, **_JSON, headers=headers, delivery_mode="transient", retry=False
        )
        self._producer = producer

    def _connected(self) -> Any:
        from celery.events.event import get_exchange
        from kombu import Producer

        connection = self._celery.connection_for_write()
        return Producer(connection, exchange=get_exchange(connection, self._exchange), auto_declare=True)
