"""Checks of settings that need more than their own type: URLs, and names that other settings or modules define.

Each raises ``ValueError`` with what is allowed; none shows a value that may hold a password.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from perdure.errors import PerdureError, UnknownBulkhead
from perdure.resilience.redis.address import RedisAddress, is_redis
from perdure.settings.amqp_url import amqp_urls, is_amqp
from perdure.system.extras import extra


def ledger_url(url: str) -> str:
    """Return the URL of a ledger, without white space around it: secrets from files often end with a line break."""
    from perdure.settings.ledger_url import ledger_url  # imported here: the embedded ledger needs no look

    ledger_url(url.strip())
    return url.strip()


def broker_url(url: str) -> str:
    """Return the URL of a broker: a Redis, or one that speaks AMQP."""
    url = url.strip()
    if not is_amqp(url):
        return redis_url(url)
    amqp_urls(url)
    return url


def redis_url(url: str) -> str:
    """Return the URL of a Redis."""
    RedisAddress.parse(url.strip())
    return url.strip()


def redis_beside(broker_url: str | None, redis_url: str | None) -> None:
    """Refuse with ValueError a broker that is no Redis when no Redis is named for breakers and limits."""
    if broker_url is not None and redis_url is None and not is_redis(broker_url):
        raise ValueError("must be set, because the broker is no Redis: breakers, limits and permits live in one")


def bulkhead(name: str, bulkheads: Collection[str]) -> None:
    """Refuse with ValueError a bulkhead that is not configured."""
    if name not in bulkheads:
        raise ValueError(str(UnknownBulkhead(name, bulkheads)))


def retry_preset(name: str) -> str:
    """Return the name of a preset of retries."""
    from perdure.model.retry_policy import RetryPolicy

    with _refusing():
        RetryPolicy.named(name)
    return name


def keys(text: str) -> str:
    """Return encryption keys."""
    if text:
        with _refusing():
            with extra("encryption", "the setting encryption_keys"):
                from perdure.stores.encryption.cipher import KeyRing
            KeyRing.parse(text)
    return text


def checkpoint_stores(urls: Collection[str]) -> None:
    """Refuse with ValueError a checkpoint store that is none."""
    if not urls:
        raise ValueError("must name a store")
    for url in urls:
        if is_redis(url):
            redis_url(url)
        elif "/" in url:
            folder_url(url)
        elif url not in ("sql", "redis"):
            raise ValueError("must be 'sql', 'redis', a redis:// URL, a path with a /, an fsspec URL, or a list of these")


def quorum(stores: int, write: int | None) -> None:
    """Refuse a quorum that so many stores cannot give."""
    if write is not None and stores:
        from perdure.stores.replicated.quorum import Quorum

        Quorum(stores, write)


def partitions(ledger: str, period: float | None) -> None:
    """Refuse partitions of so many seconds, with ValueError, where the database has none."""
    if period is not None and not ledger.startswith("postgresql"):
        raise ValueError("only a ledger on PostgreSQL has partitions; leave it out for SQLite, which deletes what is old")


def folder_url(url: str) -> str:
    """Return a path, or the URL of a kind of file system that fsspec knows; refuse others with ValueError."""
    scheme = url.partition("://")[0].rpartition("::")[2] if "://" in url else "file"
    if scheme != "file":
        with _refusing(), extra("stores", "a store of files"):
            from fsspec.registry import known_implementations, registry
        if scheme not in known_implementations and scheme not in registry:
            raise ValueError(f"{scheme}:// is no file system that fsspec knows, such as file://, memory:// or s3://")
    return url


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except PerdureError as error:
        raise ValueError(str(error)) from None
