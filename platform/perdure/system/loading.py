"""Loading modules without looking for garbage meanwhile: of 100,000 objects that are made then, hardly any is."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Have the block's objects be looked through once, at its end, and not again and again while they are made.

    It is the whole process' setting: of threads that do this at once the first one that ends turns it on again.
    """
    if not gc.isenabled():  # as its owner wants it
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
