"""The last good value of each call, kept in Redis for the time when nobody answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from redis import Redis

from perdure.errors import Unserialisable
from perdure.model.codec.codec import decode, encode
from perdure.resilience.redis.keys import fallback_key
from perdure.resilience.redis.link import Clock, RedisLink, SharedStateUnavailable
from perdure.resilience.service.call_key import CannotTellApart, digest, returned_type
from perdure.system.fork_locks import fork_lock

#: Keys whose last write is remembered; beyond, all are forgotten, which costs a write each.
MOST_REMEMBERED = 10_000


class _Kept(msgspec.Struct):
    """A value's JSON, and the Unix time at which it was good."""

    at: float
    value: msgspec.Raw


class LastGood:
    """Keeps one fallback's values. Thread-safe.

    Args:
        redis: a client or a URL.
        name: the fallback.
        key: what makes a key of a call's arguments; None: the function's name and its arguments are the key.
        max_age: seconds after which a value expires.
        refresh: seconds within which a value is not written again.
        now: Unix seconds.
        prefix: begins each key in Redis.
    """

    def __init__(
        self,
        redis: Redis | str,
        name: str,
        key: Callable[..., object] | None,
        *,
        max_age: float,
        refresh: float,
        now: Clock,
        prefix: str,
    ) -> None:
        self._name, self._call_key, self._prefix = name, key, prefix
        self._max_age, self._refresh, self._now = max_age, refresh, now
        self._link = RedisLink(redis, what=f"fallback {name!r}")
        self._lock = fork_lock()
        self._kept_at: dict[str, float] = {}

    def keep(self, value: Any, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Keep what ``fn`` answered; never fails."""
        key = self._key(fn, args, kwargs)
        if key is None or not self._is_due(key):
            return
        try:
            text = encode(value, returned_type(fn), what="the value")
        except Unserialisable as error:
            self._link.say_once(f"a value would not come back as it is and is not kept: {error}")
            return
        kept = msgspec.json.encode(_Kept(self._now(), msgspec.Raw(text.encode())))
        try:
            self._link.run(lambda: self._link.client.set(key, kept, px=max(1, int(self._max_age * 1000))))
        except SharedStateUnavailable:
            return  # the primary answered; the link has warned

    def recall(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, float] | None:
        """Return the call's last good value and its age in seconds, or None."""
        key = self._key(fn, args, kwargs)
        if key is None:
            return None
        try:
            text: Any = self._link.run(lambda: self._link.client.get(key), {key: "string"})
        except SharedStateUnavailable:
            return None
        if text is None:
            return None
        try:
            kept = msgspec.json.decode(text, type=_Kept)
            value = decode(bytes(kept.value), returned_type(fn))
        except Exception:  # noqa: BLE001 - whatever somebody wrote there, it is no value of this call's
            self._link.say_once("a kept value in Redis made no sense and is not served")
            return None
        age = self._now() - kept.at
        return (value, max(0.0, age)) if abs(age) <= self._max_age else None

    def _key(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
        try:
            return fallback_key(self._name, digest(fn, args, kwargs, self._call_key), self._prefix)
        except CannotTellApart as why:
            self._link.say_once(f"calls that cannot be told apart have no last good value ({why}); use keyed() or key=")
            return None

    def _is_due(self, key: str) -> bool:
        now = self._now()
        with self._lock:
            if now - self._kept_at.get(key, float("-inf")) < self._refresh:
                return False
            if len(self._kept_at) >= MOST_REMEMBERED:
                self._kept_at.clear()
            self._kept_at[key] = now
            return True
