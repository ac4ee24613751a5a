"""A document pipeline: one job splits a document, a job for each page reads it, and the first one puts them together.

The first job waits by ``Snooze``: meanwhile no process is busy with it, and no attempt is burned. Pages are submitted
under keys, so a job that is killed in the middle of submitting them submits none twice.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from perdure import Discard, JobContext, Perdure, Snooze

app = Perdure()
PAGE = "\f\n"


@app.job(bulkhead="background")
def read_page(path: str, number: int) -> dict[str, int]:
    """Count a page's words: in a true pipeline, what takes long."""
    return dict(Counter(Path(path).read_text().split(PAGE)[number].split()))


@app.job
def read_document(ctx: JobContext, path: str) -> dict[str, int]:
    """Count a document's words, all pages side by side."""
    pages = [app.jobs.get(job) for job in ctx.step("fan out", fan_out, path, ctx.idempotency_key)]
    left = sum(not page.state.is_final for page in pages)
    ctx.progress(len(pages) - left, len(pages), "pages")
    if left:
        raise Snooze(0.2, f"{left} pages are not read yet")
    if dead := [page.id for page in pages if page.state != "succeeded"]:
        raise Discard(f"pages that cannot be read: {dead}")
    return dict(sum((Counter(page.result()) for page in pages), Counter()))


def fan_out(path: str, key: str) -> list[str]:
    """Submit a job for each page, all at once, and return their ids."""
    count = len(Path(path).read_text().split(PAGE))
    calls = [read_page.options(idempotency_key=f"{key}/{number}").call(path, number) for number in range(count)]
    return [page.id for page in read_page.submit_many(calls)]
