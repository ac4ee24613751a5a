"""``files.archive``: a tree into a tar with a manifest, going on in the middle of a file after any crash.

The tar is not compressed, so that it can be cut back to the last checkpoint and continued: the result is byte for byte
what a run without interruption makes. To check a tree, or what was extracted, against the manifest::

    cd TREE && sha256sum --check --quiet /backup/tree.tar.sha256
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import time
from pathlib import Path
from typing import Any, TypedDict

import msgspec

from perdure import Discard, JobContext, RetryPolicy
from perdure.errors import JobCancelled
from perdure_tasks.archiving.copier import Copier, SourceFailed
from perdure_tasks.archiving.headers import trailer
from perdure_tasks.archiving.pace import Pace
from perdure_tasks.archiving.pair import Names, Pair
from perdure_tasks.archiving.state import Resumption, State, quoted, unquoted
from perdure_tasks.archiving.walk import Entry, Unreadable, walk
from perdure_tasks.safe_files import checked_path

NAME = "files.archive"
BULKHEAD = "background"
RETRY = RetryPolicy(max_retries=5, base=5.0, max_delay=300.0)
JOB_TIMEOUT_S = None  # as long as it takes: checkpoints make it stoppable at any time

#: Seconds between two checkpoints: what a crash costs at most. Each one flushes to the disk.
CHECKPOINT_S = 0.5

_log = logging.getLogger(__name__)


class ArchiveResult(TypedDict):
    """What an archive leaves as its job's result.

    Attributes:
        archive: Path of the tar.
        manifest: Path of the manifest, in the form of ``sha256sum``.
        files: Regular files archived.
        bytes: Bytes of their content.
        skipped: What is not in the archive, each with ``path`` and ``reason``; the first hundred.
        skipped_count: How many these are.
        changed: Files that changed while they were read and are archived as they were found; the first hundred.
        changed_count: How many these are.
        resumed: Where later attempts went on, each with ``attempt``, ``files`` and ``bytes``.
    """

    archive: str
    manifest: str
    files: int
    bytes: int
    skipped: list[dict[str, Any]]
    skipped_count: int
    changed: list[str]
    changed_count: int
    resumed: list[dict[str, Any]]


def archive(
    ctx: JobContext,
    tree: str,
    destination: str,
    *,
    exclude: list[str] | None = None,
    bytes_per_second: int | None = None,
) -> ArchiveResult:
    """Archive a folder tree; symbolic links stay links; sockets, pipes, devices and what the kernel makes up (``/proc``)
    are left out and reported.

    The archive appears under its name when it is complete, and not before. Names in it begin below ``tree``.

    Args:
        ctx: The job.
        tree: The folder.
        destination: Path of the tar; the manifest is beside it, with ``.sha256`` added. What is there is replaced.
        exclude: Patterns (``*.pyc``, ``.git``, ``var/cache/*``) of names or paths to leave out, with all below them.
        bytes_per_second: Read no faster than this.

    Raises:
        Discard: ``tree`` is no folder, ``destination`` is something else than a file, or ``PERDURE_FILE_ROOTS`` does not
            allow them.
        Snooze: A worker that lost this job still writes the archive.
        OSError: The archive cannot be written; the next attempt goes on where this one stopped.
    """
    root, names = _checked(ctx, tree, destination)
    if bytes_per_second is not None and bytes_per_second < 1:
        raise Discard(f"bytes_per_second={bytes_per_second}: must be positive, or None for no bound.")
    try:
        state = State.from_plain(ctx.checkpoint.load(default=None))
    except msgspec.ValidationError as error:
        raise Discard(f"the checkpoint is not one of {NAME}: {error}") from error
    if not state.is_sealed:
        try:
            with names.open() as pair:
                state = _Archiver(ctx, root, names, pair, state, exclude or [], Pace(bytes_per_second)).run()
        except JobCancelled:
            names.remove_parts()
            raise
    names.publish()
    return _result(names, state)


class _Archiver:
    """One attempt at an archive."""

    def __init__(
        self, ctx: JobContext, root: Path, names: Names, pair: Pair, state: State, exclude: list[str], pace: Pace
    ) -> None:
        self._ctx, self._root, self._pair, self._pace = ctx, root, pair, pace
        self._state = _resumed(ctx, pair, state)
        self._copier = Copier(pair, self._state, self._on_chunk)
        self._selection: dict[str, Any] = {"exclude": exclude, "own": names.all}
        self._saved_at = time.monotonic()

    def run(self) -> State:
        """Archive what is left and return the final state."""
        if self._state.total_files is None:
            self._count()
        for entry in walk(self._root, after=unquoted(self._state.after), **self._selection):
            self._add(entry)
            self._state.after = quoted(entry.path)
            self._pulse()
        self._copier.take_back()
        self._pair.tar.write(trailer(self._state.tar))
        self._state.is_sealed = True
        self._save()
        return self._state

    def _count(self) -> None:
        files = size = 0
        for entry in walk(self._root, **self._selection):
            if isinstance(entry, Entry) and stat.S_ISREG(entry.status.st_mode):
                files += 1
                size += entry.status.st_size
            self._pulse()
        self._state.total_files, self._state.total_bytes = files, size
        self._save()  # so that it is said at once how much there is to do

    def _add(self, entry: Entry | Unreadable) -> None:
        if isinstance(entry, Unreadable):
            self._state.note_skipped(entry.path, entry.reason)
            return
        mode, source = entry.status.st_mode, self._root / entry.path
        try:
            if stat.S_ISREG(mode):
                self._copier.copy(source, entry.path)
            elif stat.S_ISDIR(mode):
                self._copier.add(entry.path, entry.status)
            elif stat.S_ISLNK(mode):
                self._copier.add(entry.path, entry.status, link=_target(source))
            else:
                raise SourceFailed("is neither file, folder nor link")
        except SourceFailed as error:
            self._state.note_skipped(entry.path, str(error))

    def _on_chunk(self, size: int) -> None:
        self._pace.keep(size, self._pulse)
        self._pulse()

    def _pulse(self) -> None:
        if time.monotonic() - self._saved_at >= CHECKPOINT_S:
            self._save()

    def _save(self) -> None:
        self._pair.sync()
        state = self._state
        self._ctx.checkpoint.save(state.to_plain())  # before it is shown: progress must never be ahead of what is safe
        self._ctx.progress(state.safe_bytes, state.total_bytes, f"{state.files} of {state.total_files} files")
        self._saved_at = time.monotonic()


def _resumed(ctx: JobContext, pair: Pair, state: State) -> State:
    """Return the state with which to go on, and cut the files back to it."""
    end = state.open.content_at + state.open.copied if state.open else state.tar
    if not pair.holds(end, state.manifest):
        _log.warning("job %s: the unfinished archive is not on this machine; starting it again", ctx.job_id)
        state, end = State(), 0
    pair.cut(end, state.manifest)
    if state.total_files is not None:
        state.resumed.append(Resumption(ctx.attempt, state.files, state.safe_bytes))
    return state


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError as error:
        raise SourceFailed(error.strerror or str(error)) from error


def _checked(ctx: JobContext, tree: str, destination: str) -> tuple[Path, Names]:
    root = checked_path("tree", Path(tree))
    if not root.is_dir():
        raise Discard(f"tree {tree!r} is no folder on this worker.")
    final = checked_path("destination", Path(destination))
    if final.is_dir():
        raise Discard(f"destination {destination!r} is a folder; name the file to write, such as {final / 'tree.tar'}.")
    names = Names(final, hashlib.sha256(ctx.idempotency_key.encode()).hexdigest()[:12])
    for path in (names.archive, names.manifest):
        if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
            raise Discard(f"{str(path)!r} is no regular file and is not replaced.")
    return root, names


def _result(names: Names, state: State) -> ArchiveResult:
    return {
        "archive": str(names.archive),
        "manifest": str(names.manifest),
        "files": state.files,
        "bytes": state.bytes,
        "skipped": msgspec.to_builtins(state.skipped),
        "skipped_count": state.skipped_count,
        "changed": state.changed,
        "changed_count": state.changed_count,
        "resumed": msgspec.to_builtins(state.resumed),
    }
