"""How long one save of a checkpoint takes on each store: p50 and p95 for 1 KB and 100 KB.

Each case is bounded by count and by time. Disks differ more than code does: compare rows, not machines.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from perdure.stores.filesystem import FilesystemStore
from perdure.stores.protocol import CheckpointStore
from perdure.stores.record import CheckpointRecord
from perdure.stores.redis import RedisStore
from perdure.stores.replicated import ReplicatedStore
from perdure_workers.embedded.redis import RedisServer

SIZES = {"1 KB": 1_000, "100 KB": 100_000}
SAVES = 300
SECONDS_PER_CASE = 0.8


def main() -> None:
    """Save to each store and print a table."""
    columns = [f"{size} {quantile} ms" for size in SIZES for quantile in ("p50", "p95")]
    table = Table("store", *columns, title="checkpoint save")
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as folder, redis_in(Path(folder)) as server:
        for label, store in stores(Path(folder), server.url):
            cells = [f"{value:.2f}" for size in SIZES.values() for value in quantiles(saves(store, size))]
            table.add_row(label, *cells)
            if isinstance(store, ReplicatedStore):
                store.drain(10)
    Console().print(table)


def redis_in(folder: Path) -> RedisServer:
    """Return a server to start, with its data under ``folder``."""
    return RedisServer(folder / "redis", die_with_parent=True)


def stores(home: Path, redis_url: str) -> Iterator[tuple[str, CheckpointStore]]:
    """Yield the stores to compare."""
    yield "memory (the cost of framing and comparing)", FilesystemStore("memory://perdure-bench")
    yield "local disk, fsync", FilesystemStore(str(home / "synced"))
    yield "local disk, no fsync", FilesystemStore(str(home / "unsynced"), fsync=False)
    yield "Redis", RedisStore.from_url(redis_url)
    yield "replicated, 3 local disks, fsync", ReplicatedStore([FilesystemStore(str(home / f"r{n}")) for n in range(3)])
    mixed = [
        FilesystemStore(str(home / "m0")),
        FilesystemStore(str(home / "m1")),
        RedisStore.from_url(redis_url, prefix="mixed:"),
    ]
    yield "replicated, 2 local disks and Redis", ReplicatedStore(mixed)


def saves(store: CheckpointStore, size: int) -> list[float]:
    """Return the milliseconds of each of many saves."""
    data, took, end = b"x" * size, [], time.perf_counter() + SECONDS_PER_CASE
    for seq in range(SAVES):
        record = CheckpointRecord(f"bench-{size}", "main", seq=seq, fence=1, data=data, saved_at=time.time())
        started = time.perf_counter()
        store.save(record)
        ended = time.perf_counter()
        took.append((ended - started) * 1000)
        if ended > end and seq >= 20:
            break
    return took


def quantiles(took: list[float]) -> tuple[float, float]:
    """Return p50 and p95."""
    return statistics.median(took), statistics.quantiles(took, n=20)[-1]


if __name__ == "__main__":
    main()
