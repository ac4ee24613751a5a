"""The faults that all processes of an application see: a hash in Redis, which is gone when the last of them can be over."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace
from redis import Redis

from perdure.model.faults.fault import LONGEST, Fault
from perdure.resilience.redis.keys import faults_key
from perdure.resilience.redis.link import RedisLink
from perdure.resilience.redis.lua_scripts import text
from perdure.system.fork_gate import gate

#: Seconds between two tries to reach a Redis that is away: each may take a second of somebody's time.
RETRY_INTERVAL = 5.0
#: Seconds by which a fault may last longer than any: clocks and rounding.
SLACK = 1.0


class SharedFaults:
    """Faults in Redis. Times are Redis' own, so that hosts whose clocks differ agree on each end.

    Args:
        redis: A client or a URL.
        prefix: Begins the key.
    """

    def __init__(self, redis: Redis | str, prefix: str) -> None:
        self._link = RedisLink(redis, what="injected faults", retry_interval=RETRY_INTERVAL)
        self._key = faults_key(prefix)
        self._kinds = {self._key: "hash"}
        self._thread = threading.local()

    @property
    def is_asked_here(self) -> bool:
        """Whether this thread is asking for faults or telling of one: a broken Redis must not hide that it is broken."""
        return getattr(self._thread, "asks", False)

    def read(self) -> tuple[float, list[Fault]]:
        """Return the time, in seconds since the epoch, and the faults that are on.

        Raises:
            SharedStateUnavailable: Redis does not answer.
        """
        script = self._link.scripts
        now_ms, flat = self._run(lambda: script.run("faults_read", [self._key]))
        now = int(now_ms) / 1000
        found = [fault for each in flat[1::2] if (fault := self._fault(each)) is not None]
        return now, [each for each in found if now < each.ends_at <= now + LONGEST + SLACK]

    def add(self, fault: Fault) -> None:
        """Let all processes see a fault.

        Raises:
            SharedStateUnavailable: Redis does not answer.
        """
        kept = msgspec.json.encode(fault).decode()
        args: list[str | int] = [fault.id, kept, int(LONGEST * 1000)]
        self._run(lambda: self._link.scripts.run("faults_add", [self._key], args))

    def remove(self, fault_id: str) -> None:
        """End a fault before its time.

        Raises:
            SharedStateUnavailable: Redis does not answer.
        """
        self._run(lambda: self._link.client.hdel(self._key, fault_id))

    def _run(self, operation: Callable[[], Any]) -> Any:
        self._thread.asks = True
        try:
            with gate:
                return self._link.run(operation, self._kinds)
        finally:
            self._thread.asks = False

    def _fault(self, kept: bytes | str) -> Fault | None:
        try:
            return replace(msgspec.json.decode(text(kept), type=Fault), shared=True)
        except msgspec.MsgspecError as error:  # of another release, or somebody else's
            self._link.say_once(f"a value that is no injected fault is passed over ({error})")
            return None
