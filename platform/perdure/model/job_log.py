"""What a job says for people: its newest lines are kept with it."""

from __future__ import annotations

import logging
from collections import deque
from datetime import datetime

from msgspec import Struct

from perdure.system.fork_locks import fork_lock

#: Bytes that a kept line counts beside its text.
_BESIDE = 32


class LogBounds(Struct, frozen=True):
    """How much is kept of what a job says; the newest lines are.

    Attributes:
        lines: Lines of one job, in all its attempts; 0 keeps none.
        bytes: Bytes of their texts.
        level: The least important level that is kept, such as ``logging.INFO``.
    """

    lines: int = 200
    bytes: int = 64 * 1024
    level: int = logging.INFO


class Said(Struct, frozen=True):
    """A line as the job said it; ``at`` is epoch seconds of the ledger's clock."""

    at: float
    level: str
    text: str


class Chunk(Struct, frozen=True):
    """Lines of one attempt that are written together.

    Attributes:
        job_id: Whose they are.
        task: That job's task.
        fence: The attempt's fence.
        attempt: Which attempt it is, as the job knows it.
        first: The number of the first line within the attempt, from 1.
        lines: The lines.
        bounds: How much of the job's lines is to be kept.
    """

    job_id: str
    task: str
    fence: int
    attempt: int
    first: int
    lines: tuple[Said, ...]
    bounds: LogBounds

    @property
    def bytes(self) -> int:
        """About how many bytes it takes."""
        return sum(_size(line) for line in self.lines)


class LogLine(Struct, frozen=True):
    """A kept line of a job.

    Attributes:
        fence: The fence of the attempt that said it: ``number`` of :meth:`JobHandle.attempts`.
        attempt: Which attempt that was, as the job knew it.
        number: Its number within the attempt, from 1; what is missing before it was not kept.
        at: When.
        level: ``INFO`` and so on.
        text: What was said, with the traceback if there was one.
    """

    fence: int
    attempt: int
    number: int
    at: datetime
    level: str
    text: str


class JobLog:
    """What an attempt has said and nobody has written yet. Thread-safe; it holds no more than is kept."""

    def __init__(self, job_id: str, task: str, fence: int, attempt: int, bounds: LogBounds) -> None:
        #: The job and its fence.
        self.of = (job_id, fence)
        self._task, self._attempt = task, attempt
        self._bounds = bounds
        self._lines: deque[Said] = deque()
        self._bytes = 0
        self._first = 1
        self._lock = fork_lock()

    def add(self, line: Said) -> None:
        """Take a line, and let go of the oldest ones that are too many."""
        with self._lock:
            self._lines.append(line)
            self._bytes += _size(line)
            while len(self._lines) > self._bounds.lines or (self._bytes > self._bounds.bytes and len(self._lines) > 1):
                self._bytes -= _size(self._lines.popleft())
                self._first += 1

    def take(self) -> Chunk | None:
        """Return the lines and forget them; None when there are none."""
        with self._lock:
            if not self._lines:
                return None
            job_id, fence = self.of
            chunk = Chunk(job_id, self._task, fence, self._attempt, self._first, tuple(self._lines), self._bounds)
            self._first += len(self._lines)
            self._lines.clear()
            self._bytes = 0
            return chunk


def _size(line: Said) -> int:
    return len(line.text.encode("utf-8", "backslashreplace")) + _BESIDE
