"""Slots: memory in which each child says which job it runs, and which its main process reads without asking anybody.

What a child that is dead or stopped was doing is known at once and for certain: a job that its function had begun counts a
crash, and what else the child had claimed goes back as it was.
"""

from __future__ import annotations

import mmap
import struct
import time

from msgspec import Struct

#: pid, whether it holds a slice, fence, start of the job on the machine's monotonic clock, its limit in seconds, id, task.
_LAYOUT = struct.Struct("<iiqdd36s188s")
_SIZE = 256
#: Children of one worker at most, and lives of a child whose slots are kept until somebody has read them.
CHILDREN = 1024
_LIVES = 4
#: Where it says whether a child has claimed anything since its main process asked.
_CLAIMED = CHILDREN * _LIVES * _SIZE


class Slot(Struct, frozen=True):
    """What a child does.

    Attributes:
        pid: The child.
        holds: Whether it has claimed jobs that are not settled.
        job_id: The job that it runs; empty between two jobs.
        task: That job's task, cut to what has room.
        fence: The claim's fence.
        elapsed: Seconds that the job runs.
        limit: Its time limit in seconds; None for none.
    """

    pid: int
    holds: bool
    job_id: str
    task: str
    fence: int
    elapsed: float
    limit: float | None


class Slots:
    """The slots of a worker's children. Make it before they are forked."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _CLAIMED + 1)
        self._at = 0
        self._pid = 0

    # -- in a child ----------------------------------------------------------------------------------------------------

    def take(self, index: int, pid: int) -> None:
        """Take a slot for a child.

        Args:
            index: Its number, which no other living child has.
            pid: Its process id. The system may have given it to a child before that is gone.
        """
        self.free(pid)
        places = [(life * CHILDREN + index % CHILDREN) * _SIZE for life in range(_LIVES)]
        self._at = next((place for place in places if self._read(place).pid == 0), places[0])
        self._pid = pid
        self.rest()

    def hold(self) -> None:
        """Say that the child has claimed jobs or is about to, and runs none of them."""
        self._memory[_CLAIMED] = 1
        self._write(1)

    def begin(self, job_id: str, fence: int, task: str, limit: float | None) -> None:
        """Say that the child runs a job, for at most ``limit`` seconds."""
        self._write(1, fence, time.monotonic(), limit or 0.0, job_id, task)

    def rest(self) -> None:
        """Say that the child holds nothing."""
        self._write(0)

    def _write(
        self, holds: int, fence: int = 0, started: float = 0.0, limit: float = 0.0, job_id: str = "", task: str = ""
    ) -> None:
        texts = job_id.encode(), task.encode()
        _LAYOUT.pack_into(self._memory, self._at, self._pid, holds, fence, started, limit, *texts)

    # -- in the main process -------------------------------------------------------------------------------------------

    def all(self, pids: list[int]) -> list[Slot]:
        """Return the slots of children."""
        return [slot for pid in pids if (slot := self.of(pid)) is not None]

    def of(self, pid: int) -> Slot | None:
        """Return a child's slot; None for one that never took one."""
        place = self._place(pid)
        return None if place is None else self._read(place)

    def have_claimed(self) -> bool:
        """Return whether any child may have claimed a job since this was asked last."""
        claimed, self._memory[_CLAIMED] = self._memory[_CLAIMED], 0
        return bool(claimed)

    def free(self, pid: int) -> None:
        """Give the slot of a child that is gone to others."""
        place = self._place(pid)
        if place is not None:
            _LAYOUT.pack_into(self._memory, place, 0, 0, 0, 0.0, 0.0, b"", b"")

    def _place(self, pid: int) -> int | None:
        if pid <= 0:
            return None  # as of places that nobody has
        for place in range(0, _CLAIMED, _SIZE):
            if struct.unpack_from("<i", self._memory, place)[0] == pid:
                return place
        return None

    def _read(self, place: int) -> Slot:
        pid, holds, fence, started, limit, *texts = _LAYOUT.unpack_from(self._memory, place)
        elapsed = time.monotonic() - started if started else 0.0
        job_id, task = (text.rstrip(b"\0").decode("utf-8", "replace") for text in texts)
        return Slot(pid, bool(holds), job_id, task, fence, elapsed, limit or None)
