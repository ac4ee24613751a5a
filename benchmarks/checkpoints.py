"""How long one save of a checkpoint takes on each store (p50 and p95 for 1 KB and 100 KB), what asking whether one is due
costs, and how long a loop takes to go on, however far it is.

Each case is bounded by count and by time. Disks differ more than code does: compare rows, not machines.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import timeit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from perdure import JobContext
from perdure.ledger import Ledger
from perdure.ledger.jobs.claim import Claimer
from perdure.ledger.running.checkpoint_store import LedgerStore
from perdure.model.ids import new_id
from perdure.model.new_job import NewJob
from perdure.model.records import Claim
from perdure.stores.backends.filesystem import FilesystemStore
from perdure.stores.backends.redis import RedisStore
from perdure.stores.protocol import CheckpointStore
from perdure.stores.record import CheckpointRecord
from perdure.stores.replicated.replicated import ReplicatedStore
from perdure.stores.sources.lines import TextLines
from perdure_workers.embedded.postgres import PostgresServer
from perdure_workers.embedded.redis import RedisServer

SIZES = {"1 KB": 1_000, "100 KB": 100_000}
SAVES = 300
SECONDS_PER_CASE = 0.8
TURNS = 200_000
LENGTHS = (1_000, 100_000, 10_000_000)


def main() -> None:
    """Save to each store and print a table."""
    columns = [f"{size} {quantile} ms" for size in SIZES for quantile in ("p50", "p95")]
    table = Table(Column("store", no_wrap=True), *columns, title="checkpoint save")
    with (
        shared_folder() as folder,
        redis_in(Path(folder)) as server,
        PostgresServer(Path(folder) / "postgres", die_with_parent=True) as database,
    ):
        for label, store in stores(Path(folder), server.url, database.create_database("ledger")):
            cells = [f"{value:.2f}" for size in SIZES.values() for value in quantiles(saves(store, size))]
            table.add_row(label, *cells)
            if isinstance(store, ReplicatedStore):
                store.drain(10)
    Console().print(table)
    Console().print(loops())


@contextmanager
def shared_folder() -> Iterator[str]:
    """Yield a folder that the account of PostgreSQL can reach."""
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as folder:
        Path(folder).chmod(0o711)
        yield folder


def loops() -> Table:
    """Return the cost of ``due()`` in a tight loop, and of going on in loops of several lengths."""
    table = Table("", "", title="loops")
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as folder:
        ledger = Ledger(f"sqlite:///{folder}/ledger.db")
        ctx = JobContext(claimed(ledger), ledger)
        ctx.checkpoint.save({})
        due = timeit.repeat(ctx.checkpoint.due, number=TURNS, repeat=5)
        table.add_row("due(), ns", f"{min(due) / TURNS * 1e9:.0f}")
        items = sum(1 for _ in ctx.iterate(range(TURNS), name="plain"))
        table.add_row("iterate(range), ns an item", f"{timed(lambda: drain(ctx, range(items))) / TURNS * 1e9:.0f}")
        for length in LENGTHS:
            table.add_row(f"going on at the end of {length:,} items, ms", f"{resumption(ctx, length) * 1e3:.2f}")
            table.add_row(
                f"going on at the end of {length:,} lines, ms", f"{resumption(ctx, length, Path(folder)) * 1e3:.2f}"
            )
        ledger.close()
    return table


def claimed(ledger: Ledger) -> Claim:
    """Return the claim of a job in a ledger."""
    job = NewJob(id=new_id(), task="bench", bulkhead="normal", args="[]", kwargs="{}", payload_digest="")
    ledger.jobs.submit([job])
    worker: dict[str, Any] = {"id": new_id(), "name": "w", "bulkhead": "normal", "host": "h", "pid": 1, "concurrency": 1}
    ledger.workers.register({**worker, "lease_ttl": 3600.0, "lock_path": None})
    [claim] = ledger.jobs.claim(Claimer("normal", worker["id"], "w", 1, ("bench",)), 1)
    return claim


def drain(ctx: JobContext, source: range) -> None:
    """Loop to the end."""
    for _ in ctx.iterate(source):
        pass


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def resumption(ctx: JobContext, length: int, folder: Path | None = None) -> float:
    """Return the median seconds from asking for a loop to its next item, one item before its end."""
    name = f"resume-{length}-{folder is not None}"
    source: Any = range(length)
    position = length - 1
    if folder is not None:
        path = folder / f"{length}.txt"
        path.write_bytes(b"0123456789\n" * length)
        source, position = TextLines(path), 11 * (length - 1)
    ctx.checkpoint.named(name).save([position])
    return statistics.median(timed(lambda: next(ctx.iterate(source, name=name))) for _ in range(20))


def redis_in(folder: Path) -> RedisServer:
    """Return a server to start, with its data under ``folder``."""
    return RedisServer(folder / "redis", die_with_parent=True)


def stores(home: Path, redis_url: str, postgres_url: str) -> Iterator[tuple[str, CheckpointStore]]:
    """Yield the stores to compare."""
    yield "memory (the cost of framing and comparing)", FilesystemStore("memory://perdure-bench")
    yield "local disk, fsync", FilesystemStore(str(home / "synced"))
    yield "local disk, no fsync", FilesystemStore(str(home / "unsynced"), fsync=False)
    yield "the ledger, SQLite", ledger_store(f"sqlite:///{home / 'ledger.db'}")
    yield "the ledger, PostgreSQL", ledger_store(postgres_url)
    yield "Redis", RedisStore.from_url(redis_url)
    yield "replicated, 3 local disks, fsync", ReplicatedStore([FilesystemStore(str(home / f"r{n}")) for n in range(3)])
    mixed: list[CheckpointStore] = [
        FilesystemStore(str(home / "m0")),
        FilesystemStore(str(home / "m1")),
        RedisStore.from_url(redis_url, prefix="mixed:"),
    ]
    yield "replicated, 2 local disks and Redis", ReplicatedStore(mixed)


def ledger_store(url: str) -> LedgerStore:
    """Return the store of a new ledger."""
    ledger = Ledger(url)
    ledger.upgrade()
    return LedgerStore(ledger)


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
