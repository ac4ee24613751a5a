"""Noticing that an application's source has changed: by looking at its files' times, which works on every file system."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

#: Folders that hold nobody's own source, besides hidden ones and virtual environments.
_SKIPPED = {"__pycache__", "node_modules", "site-packages", "dist-packages"}
#: What besides Python files has processes start anew.
_SETTINGS = "perdure.toml"

#: A file's time of change and size.
Mark = tuple[int, int]


class SourceWatch:
    """Looks for changes since the last look.

    Args:
        folder: What is below it is looked at: Python files, and ``perdure.toml``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = dict(_marks(folder))

    def changed(self) -> list[Path]:
        """Return the files that are new, gone or different, by name."""
        before, self._seen = self._seen, dict(_marks(self._folder))
        return sorted(path for path in before.keys() | self._seen.keys() if before.get(path) != self._seen.get(path))


def broken(paths: list[Path]) -> str | None:
    """Return what is wrong with the first file that is no Python; None when all can be read."""
    for path in paths:
        try:
            if path.suffix == ".py":
                ast.parse(path.read_bytes(), str(path))
        except FileNotFoundError:
            continue
        except (SyntaxError, ValueError) as error:
            return f"{path}: {error}"
    return None


def _marks(folder: Path) -> Iterator[tuple[Path, Mark]]:
    for where, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _is_skipped(where, name)]
        for name in files:
            if name.endswith(".py") or name == _SETTINGS:
                path = Path(where, name)
                try:
                    found = path.stat()
                except OSError:  # gone again, or a link to nowhere
                    continue
                yield path, (found.st_mtime_ns, found.st_size)


def _is_skipped(where: str, name: str) -> bool:
    return name.startswith(".") or name in _SKIPPED or os.path.exists(os.path.join(where, name, "pyvenv.cfg"))
