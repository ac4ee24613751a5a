"""Which release of the application runs here, as git has it; read from its files, so that no process is started for it."""

from __future__ import annotations

from pathlib import Path

from perdure.system.upward import nearest

#: Characters of a commit's id that are enough to find it.
SHORT = 12


def checked_out() -> str | None:
    """Return the commit that is checked out in the current folder or the nearest one above; None where there is none."""
    try:
        found = nearest(".git")
        return None if found is None else _head(_folder_of(found))
    except (OSError, ValueError):
        return None


def _folder_of(found: Path) -> Path:
    """Return git's folder: of a second work tree ``.git`` is a file that names it."""
    return found if found.is_dir() else found.parent / found.read_text().removeprefix("gitdir:").strip()


def _head(folder: Path) -> str | None:
    head = (folder / "HEAD").read_text().strip()
    if not head.startswith("ref:"):
        return head[:SHORT] or None
    ref = head.removeprefix("ref:").strip()
    common = folder / "commondir"
    shared = folder / common.read_text().strip() if common.exists() else folder
    if (shared / ref).exists():
        return (shared / ref).read_text().strip()[:SHORT]
    packed = (shared / "packed-refs").read_text().splitlines()
    return next((line.split()[0][:SHORT] for line in packed if line.endswith(f" {ref}")), None)
