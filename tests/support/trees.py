"""Real trees on disk, the same ones for the same seed."""

from __future__ import annotations

import os
import random
from pathlib import Path

ODD_NAMES = [b"with space", b"line\nend", b"back\\slash", b"\xff\xfe", "grün".encode(), b"n" * 200, b"-rf", b"a*?[b]"]


def make_tree(root: Path, *, files: int = 60, largest: int = 60_000, seed: int = 1) -> Path:
    """Make folders, files of all sizes (empty ones and whole blocks among them), odd names and links."""
    rng = random.Random(seed)
    root.mkdir(parents=True)
    for number in range(files):
        folder = root / f"d{rng.randrange(5)}" / f"e{rng.randrange(3)}"
        folder.mkdir(parents=True, exist_ok=True)
        size = rng.choice([0, 1, 511, 512, 513, rng.randrange(largest)])
        (folder / f"f{number}").write_bytes(rng.randbytes(size))
    for name in ODD_NAMES:
        (root / os.fsdecode(name)).write_bytes(name)
    deep = root.joinpath(*["deeper-and-deeper"] * 12)
    deep.mkdir(parents=True)
    (deep / "file").write_text("a path that needs a pax record")
    (root / "link").symlink_to("d0")
    (root / "dangling").symlink_to("nowhere/at all")
    (root / "empty").mkdir()
    return root
