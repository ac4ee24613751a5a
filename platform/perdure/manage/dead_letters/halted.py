"""A bulk replay that halted is no success, though its job has ended as it should: everybody who tells of it says so."""

from __future__ import annotations

import msgspec

from perdure.manage.dead_letters.bulk_replay import NAME
from perdure.model.records import JobRecord


class Halted(msgspec.Struct, frozen=True):
    """What a bulk replay left undone.

    Attributes:
        replayed: Letters that it replayed.
        skipped: Letters that it looked at and left as they were.
        total: Letters that there were.
        why: What made it stop.
    """

    replayed: int
    skipped: int
    total: int
    why: str

    def __str__(self) -> str:
        return f"halted: {self.replayed} of {self.total} letters replayed, the rest is as it was: {self.why}"


class _Result(msgspec.Struct):
    halted: str | None = None
    replayed: int = 0
    total: int = 0
    skipped: dict[str, int] = {}


def halted(job: JobRecord) -> Halted | None:
    """Return what a job left undone that is a bulk replay which halted; None for every other job."""
    if job.task != NAME or job.result_json is None:
        return None
    try:
        result = msgspec.json.decode(job.result_json, type=_Result)
    except msgspec.MsgspecError:  # sealed, and not to be opened here
        return None
    if result.halted is None:
        return None
    return Halted(result.replayed, sum(result.skipped.values()), result.total, result.halted)
