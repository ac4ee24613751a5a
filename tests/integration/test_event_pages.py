"""Pages of events reach those who watch Celery applications, as if kombu had published them."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from kombu import Consumer

from perdure import Perdure
from support.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("db", "prefix"), [(0, None), (3, "shop:")])
def test_pages_on_a_redis(sqlite_url: str, redis_url: str, db: int, prefix: str | None) -> None:
    app = Perdure(ledger_url=sqlite_url, broker_url=f"{redis_url.rstrip('/0')}/{db}", redis_prefix=prefix)
    celery: Any = app.celery
    received: list[dict[str, Any]] = []
    with celery.connection() as connection, connection.channel() as channel:
        receiver = celery.events.Receiver(channel, handlers={"*": received.append})
        [consumer] = receiver.get_consumers(partial(Consumer, channel), channel)
        with consumer:

            def is_told() -> bool:
                with suppress(TimeoutError):
                    connection.drain_events(timeout=0.1)
                if not received:  # nobody listens before the first look
                    app.event_pages.publish([{"type": "task-started", "uuid": uuid, "clock": 1} for uuid in "ab"], "w")
                return bool(received)

            wait_until(is_told, 30)
    app.close()
    assert [event["uuid"] for event in received[:2]] == ["a", "b"]
