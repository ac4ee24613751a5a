"""Loads the Lua scripts of this package. A script is one file after the files that it builds on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from redis import Redis
from redis.commands.core import Script

_BREAKER = ("common", "breaker_machine", "breaker_sense", "breaker_store")

_PARTS: dict[str, tuple[str, ...]] = {
    "ring": (),
    "breaker_enter": _BREAKER,
    "breaker_record": _BREAKER,
    "breaker_command": _BREAKER,
    "breaker_free": _BREAKER,
    "failover_report": ("common", "failover_sense"),
}


@cache
def source(name: str) -> str:
    """Return the text of the script ``name`` with what it builds on before it."""
    folder = files("perdure.resilience").joinpath("lua")
    parts = (*_PARTS.get(name, ("common",)), name)
    return "\n".join(folder.joinpath(f"{part}.lua").read_text("utf-8") for part in parts)


class Scripts:
    """The scripts on one Redis client, called by name with EVALSHA and loaded again when Redis forgot them."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._scripts: dict[str, Script] = {}

    def run(self, name: str, keys: Sequence[str], args: Sequence[str | int | float] = ()) -> Any:
        """Run script ``name``; one round trip.

        Raises:
            redis.RedisError: Redis is unreachable or refuses.
        """
        script = self._scripts.get(name)
        if script is None:
            script = self._scripts[name] = self._client.register_script(source(name))
        return script(keys=list(keys), args=list(args))


def text(value: bytes | str) -> str:
    """Return a reply's string whether or not the client decodes responses."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value
