"""Find and mend differences between the stores of a replicated store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from msgspec import Struct, field

from perdure.model.storage_errors import InsufficientReplicas
from perdure.stores.protocol import CheckpointStore, scan_all
from perdure.stores.record import CheckpointKey
from perdure.stores.replicated.quorum import Reading


class Comparable(CheckpointStore, Protocol):
    """A store whose copies can be compared and mended."""

    def inspect(self, key: CheckpointKey) -> Reading:
        """Return what is held under ``key``, changing nothing."""

    def mend(self, action: str, reading: Reading) -> frozenset[str]:
        """Bring what holds something else up to a reading's winner, and return the names of what now holds it."""


class Summary(Struct):
    """What a scan found and did.

    Args:
        checked: checkpoints compared.
        divergent: those of which the stores did not all hold the same.
        repaired: those that are now the same on all stores.
        removed: checkpoints of jobs that are no longer live.
        unrepaired: those that could not be mended, and why.
        readings: what was found of each divergent checkpoint, the first ``keep`` of them.
    """

    checked: int = 0
    divergent: int = 0
    repaired: int = 0
    removed: int = 0
    unrepaired: dict[CheckpointKey, str] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)


Progress = Callable[[Summary], None]


def verify(store: Comparable, *, progress: Progress | None = None, keep: int = 1000) -> Summary:
    """Compare the stores' copies of every checkpoint; change nothing.

    Args:
        store: the replicated store.
        progress: called with the summary so far after each checkpoint.
        keep: how many divergent readings the summary carries at most.

    Raises:
        InsufficientReplicas: when too few stores can be scanned to see every checkpoint.
    """
    summary = Summary()
    for reading in _readings(store):
        _count(summary, reading, keep)
        _tell(progress, summary)
    return summary


def repair(
    store: Comparable,
    *,
    progress: Progress | None = None,
    is_live: Callable[[str], bool] | None = None,
    keep: int = 1000,
) -> Summary:
    """Bring every store up to the newest good record of every checkpoint, also one that was away or is new.

    Args:
        store: the replicated store.
        progress: called with the summary so far after each checkpoint.
        is_live: says of a job id whether the job may still run; checkpoints of others are removed instead of copied.
            Without it nothing is removed, and what was deleted while a store was away comes back from it.
        keep: how many divergent readings the summary carries at most.

    Raises:
        InsufficientReplicas: when too few stores can be scanned to see every checkpoint.
    """
    summary = Summary()
    for reading in _readings(store):
        _count(summary, reading, keep)
        try:
            _mend(store, reading, summary, is_live)
        except InsufficientReplicas as error:
            summary.unrepaired[reading.key] = str(error)
        _tell(progress, summary)
    return summary


def _mend(store: Comparable, reading: Reading, summary: Summary, is_live: Callable[[str], bool] | None) -> None:
    if is_live is not None and not is_live(reading.key.job_id):
        store.delete(reading.key.job_id)
        summary.removed += 1
    elif not reading.consistent:
        repaired = store.mend("repair", reading)
        missing = reading.to_mend - repaired - reading.unconfirmed.keys()
        if reading.failed or missing or reading.unconfirmed:
            doubts = dict.fromkeys(reading.unconfirmed, "holds a newer version that too few stores confirm")
            why = dict(reading.failed) | dict.fromkeys(missing, "refused the repair") | doubts
            summary.unrepaired[reading.key] = "; ".join(f"{name}: {reason}" for name, reason in sorted(why.items()))
        else:
            summary.repaired += 1


def _readings(store: Comparable) -> Iterator[Reading]:
    # A scan names a checkpoint once for each store that has it. Remembering hashes instead of names keeps a scan of a
    # million checkpoints below 100 MB; that two of them share a 64-bit hash has a chance of one in 10 million.
    seen: set[int] = set()
    for key in scan_all(store):
        if hash(key) not in seen:
            seen.add(hash(key))
            yield store.inspect(key)


def _count(summary: Summary, reading: Reading, keep: int) -> None:
    summary.checked += 1
    if not reading.consistent:
        summary.divergent += 1
        if len(summary.readings) < keep:
            summary.readings.append(reading)


def _tell(progress: Progress | None, summary: Summary) -> None:
    if progress is not None:
        progress(summary)
