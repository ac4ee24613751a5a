"""The two files that grow, archive and manifest, until they get their final names."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from perdure import Snooze
from perdure_tasks.safe_files import open_regular

#: How long to stay away from an archive that another process still writes, in seconds.
BUSY_S = 2.0


class Pair:
    """An unfinished archive and its manifest, open for writing behind a position.

    Args:
        tar: The archive.
        manifest: The manifest.
    """

    def __init__(self, tar: BinaryIO, manifest: BinaryIO) -> None:
        self.tar, self.manifest = tar, manifest

    def holds(self, tar: int, manifest: int) -> bool:
        """Return whether both files are at least that long; they are not when another machine wrote them."""
        return _size(self.tar) >= tar and _size(self.manifest) >= manifest

    def cut(self, tar: int, manifest: int) -> None:
        """Forget what was written behind these offsets and go on there."""
        for file, size in ((self.tar, tar), (self.manifest, manifest)):
            file.seek(size)
            file.truncate()

    def sync(self) -> None:
        """Make what was written so far outlive a power cut; a checkpoint must never be ahead of its files."""
        for file in (self.tar, self.manifest):
            file.flush()
            os.fdatasync(file.fileno())


class Names:
    """Where an archive grows and where it ends.

    Args:
        archive: The final path.
        token: What keeps apart the unfinished files of two jobs that make the same archive; the same for every attempt.
    """

    def __init__(self, archive: Path, token: str) -> None:
        self.archive = archive
        self.manifest = archive.with_name(f"{archive.name}.sha256")
        self.tar_part = archive.with_name(f".{archive.name}.{token}.part")
        self.manifest_part = archive.with_name(f".{archive.name}.{token}.sha256.part")

    @property
    def all(self) -> frozenset[Path]:
        """All four paths."""
        return frozenset({self.archive, self.manifest, self.tar_part, self.manifest_part})

    @contextmanager
    def open(self) -> Iterator[Pair]:
        """Open the unfinished files for this process alone.

        Raises:
            Snooze: Another process still writes them: a worker that lost this job and has not noticed yet. It stops at
                its next checkpoint.
        """
        self.archive.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as files:
            tar = files.enter_context(_opened(self.tar_part))
            try:
                fcntl.flock(tar, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Snooze(BUSY_S, f"another process still writes {self.tar_part}") from None
            yield Pair(tar, files.enter_context(_opened(self.manifest_part)))

    def publish(self) -> None:
        """Give both files their final names, the manifest first: where there is an archive, there is its manifest.

        May be repeated after a crash in its middle.
        """
        for part, final in ((self.manifest_part, self.manifest), (self.tar_part, self.archive)):
            with suppress(FileNotFoundError):  # renamed already
                part.replace(final)
        folder = os.open(self.archive.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def remove_parts(self) -> None:
        """Remove the unfinished files."""
        self.tar_part.unlink(missing_ok=True)
        self.manifest_part.unlink(missing_ok=True)


def _opened(path: Path) -> BinaryIO:
    return os.fdopen(open_regular("destination", path, os.O_RDWR | os.O_CREAT), "r+b")


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size
