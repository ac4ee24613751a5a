"""What a checkpoint of an archive holds: enough to go on without reading a finished file again."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec

#: So many skipped or changed paths are named; all are counted.
NAMED_PATHS = 100


class Skipped(msgspec.Struct, frozen=True):
    """Something that is not in the archive.

    Attributes:
        path: Its path below the tree; undecodable bytes as ``\\xNN``.
        reason: Why.
    """

    path: str
    reason: str


class Resumption(msgspec.Struct, frozen=True):
    """Where an attempt took up the work of the one before.

    Attributes:
        attempt: The attempt that went on.
        files: Files that were finished then.
        bytes: Bytes of content that were safe then, those of an unfinished file among them.
    """

    attempt: int
    files: int
    bytes: int


class OpenFile(msgspec.Struct):
    """A file in the middle of which the checkpoint was saved.

    Attributes:
        path: Its quoted path.
        content_at: Where its content starts in the archive, in bytes.
        size: Its size when it was opened, in bytes.
        mtime_ns: Its modification time then, in nanoseconds since the epoch.
        inode: Its inode.
        copied: Bytes of it that are in the archive.
    """

    path: str
    content_at: int
    size: int
    mtime_ns: int
    inode: int
    copied: int = 0

    def is_still(self, path: str, status: os.stat_result) -> bool:
        """Return whether an opened file is this one, unchanged."""
        seen = (quoted(path), status.st_size, status.st_mtime_ns, status.st_ino)
        return seen == (self.path, self.size, self.mtime_ns, self.inode)


class State(msgspec.Struct):
    """How far an archive has come.

    Attributes:
        total_files: Files counted before the first was read; None until then.
        total_bytes: Their bytes.
        after: Quoted path of the last finished entry.
        tar: Bytes of the archive up to the end of that entry.
        manifest: Bytes of the manifest up to there.
        files: Regular files archived.
        bytes: Bytes of content archived.
        open: The file that is being copied.
        skipped: What is not in the archive; the first ones.
        skipped_count: How many these are.
        changed: Files that changed while they were read; the first ones.
        changed_count: How many these are.
        resumed: Where later attempts went on.
        is_sealed: Whether archive and manifest are complete and only want their final names.
    """

    total_files: int | None = None
    total_bytes: int = 0
    after: str | None = None
    tar: int = 0
    manifest: int = 0
    files: int = 0
    bytes: int = 0
    open: OpenFile | None = None
    skipped: list[Skipped] = []
    skipped_count: int = 0
    changed: list[str] = []
    changed_count: int = 0
    resumed: list[Resumption] = []
    is_sealed: bool = False

    @property
    def safe_bytes(self) -> int:
        """Bytes of content that a resumption has not to read again."""
        return self.bytes + (self.open.copied if self.open else 0)

    def note_skipped(self, path: str, reason: str) -> None:
        """Count something that is left out, and name it if there is room."""
        self.skipped_count += 1
        if len(self.skipped) < NAMED_PATHS:
            self.skipped.append(Skipped(shown(path), reason))

    def note_changed(self, path: str) -> None:
        """Count a file that changed while it was read, and name it if there is room."""
        self.changed_count += 1
        if len(self.changed) < NAMED_PATHS:
            self.changed.append(shown(path))

    def to_plain(self) -> dict[str, Any]:
        """Return the state as JSON has it."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    @classmethod
    def from_plain(cls, plain: Any) -> State:
        """Return the state of a checkpoint; a new one for None.

        Raises:
            msgspec.ValidationError: The checkpoint is of another kind of job.
        """
        return cls() if plain is None else msgspec.convert(plain, cls)


def quoted(path: str) -> str:
    """Return a path as ASCII: names on disk are bytes, not all of which have a place in JSON."""
    return quote_from_bytes(os.fsencode(path))


def unquoted(text: str | None) -> str | None:
    """Return the path of :func:`quoted`."""
    return None if text is None else os.fsdecode(unquote_to_bytes(text))


def shown(path: str) -> str:
    r"""Return a path for people and JSON, undecodable bytes as ``\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
