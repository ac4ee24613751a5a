"""The platform's own periodic job that removes the blobs of ``blob_store`` that nothing refers to any more.

A blob is written before the row that names it is committed, and one blob serves all that have the same content. So it goes
only when no row and no checkpoint names it and it was not written anew for ``blob_retention`` before the search began.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

from perdure import JobContext, Perdure
from perdure.ledger import offloaded
from perdure.stores.protocol import scan_all

logger = logging.getLogger("perdure.maintenance")

NAME = "perdure.sweep_blobs"
BULKHEAD = "background"
#: Seconds from one sweep to the next.
EVERY = 24 * 3600.0
#: Rows that are looked at in one read.
PAGE = 10_000
#: How many times as long as a page took it rests until the next, and for how many seconds at most: jobs come first.
REST, LONGEST_REST = 5.0, 1.0


def register_blob_sweep(app: Perdure) -> None:
    """Add the job to an application that offloads, once; workers and supervisors do."""
    if app.ledger.vault.blobs is None or NAME in app.tasks:
        return

    def sweep_blobs(ctx: JobContext) -> int:
        """Remove what was offloaded and is not used any more."""
        return sweep(app, between=ctx.check)

    app.periodic(every=EVERY, missed="run_once", name=NAME, bulkhead=BULKHEAD, retry="fast", priority=9)(sweep_blobs)


def sweep(app: Perdure, between: Callable[[], object] = lambda: None) -> int:
    """Remove the blobs that nothing refers to and return how many there were.

    Nothing is removed from a store that another ledger has marked as its own too, nor before this one's mark is as old as
    ``blob_retention``: by then every other ledger whose workers run has left its own.

    Args:
        app: The application.
        between: Called after each page of rows; may raise to stop.

    Raises:
        StoreUnavailable: The blobs or the checkpoints cannot be listed; nothing was removed on a guess.
    """
    blobs = app.ledger.vault.blobs
    if blobs is None:
        return 0
    before = time.time() - app.settings.blob_retention
    marks = blobs.mark(app.ledger.identity())
    if len(marks) > 1:
        logger.warning("%s is shared by %d ledgers: nothing is removed from it", blobs.url, len(marks))
        return 0
    if min(marks.values()) > before:
        return 0
    return blobs.sweep(set(_references(app, between)), before=before)


def _references(app: Perdure, between: Callable[[], object]) -> Iterator[str]:
    if not app.storage.in_ledger:  # before the ledger's own: a transaction's checkpoints are there
        for key in scan_all(app.storage.store):
            for version in app.storage.store.versions(*key):
                if version.record is not None:
                    yield from offloaded.in_frame(version.record.data)
    for table in app.ledger.holders():
        yield from _in_table(app, table, between)


def _in_table(app: Perdure, table: offloaded.Holder, between: Callable[[], object]) -> Iterator[str]:
    after: str | None = ""
    while after is not None:
        began = time.monotonic()
        references, after = app.ledger.references(table, after, PAGE)
        yield from references
        if after is not None:
            between()
            time.sleep(min(LONGEST_REST, REST * (time.monotonic() - began)))
