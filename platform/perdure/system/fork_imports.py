"""Modules that other threads are in the middle of loading.

A child that is forked meanwhile inherits the module half-made, with its lock held by a thread that the child has not, and
waits for ever as soon as it wants the module. Python frees the lock of all imports in a child, and not those of modules.
"""

from __future__ import annotations

import importlib
import threading
from typing import Any


def are_under_way() -> bool:
    """Return whether another thread of this process is loading a module."""
    bootstrap: Any = importlib._bootstrap
    own = threading.get_ident()
    held = (reference() for reference in list(bootstrap._module_locks.values()))
    return any(lock is not None and lock.owner not in (None, own) for lock in held)
