"""What workers of the test are started with; each of their processes writes down who loads SQLAlchemy first."""

from __future__ import annotations

import os
import sys
import traceback
from importlib.abc import MetaPathFinder

from light_jobs import FOLDER, build

HEAVY = "sqlalchemy"


class Watcher(MetaPathFinder):
    """Finds nothing, and writes a file with the stack of who looks for SQLAlchemy in this process."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """See :class:`MetaPathFinder`."""
        if name == HEAVY:
            stack = [line for line in traceback.format_stack()[:-1] if "importlib" not in line.splitlines()[0]]
            (FOLDER / f"{os.getpid()}.loads").write_text("".join(stack))


if HEAVY in sys.modules:
    (FOLDER / f"{os.getpid()}.loads").write_text("before the application")
sys.meta_path.insert(0, Watcher())
app = build()
