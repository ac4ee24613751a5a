"""The pages that a process serves about itself and the platform."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from perdure import Perdure
from perdure_workers.monitoring.exposition import CONTENT_TYPE, exposition
from perdure_workers.monitoring.http import Page

#: Seconds for which a reading of all metrics will do, so that many who scrape cost no more than one.
FRESH = 2.0


def metrics_page(app: Perdure) -> Callable[[], Page]:
    """Return what makes the page of all metrics; one that is asked for again at once is the same."""
    lock, last = threading.Lock(), [(float("-inf"), Page(b""))]

    def make() -> Page:
        with lock:
            at, page = last[0]
            if time.monotonic() - at >= FRESH:
                page = Page(exposition(app.metrics.read()), CONTENT_TYPE)
                last[0] = time.monotonic(), page
            return page

    return make
