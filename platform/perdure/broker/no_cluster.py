"""A Redis Cluster is refused at start: bells and Lua scripts would fail there, each by itself."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from perdure.errors import SettingsError
from perdure.resilience.redis.address import NO_CLUSTER, connect, is_cluster, is_redis

if TYPE_CHECKING:
    from perdure.settings.settings import Settings

#: Seconds; a Redis that is away is asked by nobody else, and the platform starts without it.
TIMEOUT = 2.0


def refuse_cluster(settings: Settings) -> None:
    """Ask the broker and the Redis of breakers and limits whether they are nodes of a cluster.

    Raises:
        SettingsError: One of them is.
    """
    from redis import RedisError
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    for name, url in {"redis_url": settings.effective_redis_url, "broker_url": settings.effective_broker_url}.items():
        if not is_redis(url):
            continue
        client = connect(url, socket_connect_timeout=TIMEOUT, socket_timeout=TIMEOUT, retry=Retry(NoBackoff(), 0))
        with suppress(RedisError), client:
            if is_cluster(client):
                raise SettingsError(f"{name}: {NO_CLUSTER}")
