"""Time limits that operators set for tasks while a worker runs. Its children read them before each job."""

from __future__ import annotations

import mmap
import struct

import msgspec

_HEAD = struct.Struct("<II")
_SIZE = 64 * 1024


class TimeLimits:
    """Limits in seconds by task. Make it before the children are forked; only the main process sets any."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SIZE)
        self._version = 0
        self._known: dict[str, float] = {}

    def set(self, task: str, seconds: float) -> None:
        """Bound the attempts of a task that begin from now on.

        Raises:
            ValueError: There is no room for so many limits.
        """
        text = msgspec.json.encode(self._known | {task: seconds})
        if len(text) > _SIZE - _HEAD.size:
            raise ValueError("too many time limits are set; restart the worker")
        version, _ = _HEAD.unpack_from(self._memory)
        self._memory[_HEAD.size : _HEAD.size + len(text)] = text
        _HEAD.pack_into(self._memory, 0, version + 1, len(text))
        self._known[task] = seconds

    def of(self, task: str) -> float | None:
        """Return the limit of a task; None when none was set."""
        version, length = _HEAD.unpack_from(self._memory)
        if version != self._version:
            self._known = msgspec.json.decode(self._memory[_HEAD.size : _HEAD.size + length], type=dict[str, float])
            self._version = version
        return self._known.get(task)
