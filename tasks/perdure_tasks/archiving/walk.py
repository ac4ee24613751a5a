"""Walking a tree in an order that another process can take up again in the middle."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """Something in the tree.

    Attributes:
        path: Its path below the tree's root, with ``/``; undecodable bytes as :func:`os.fsdecode` has them.
        status: Its own status; a symbolic link's and not its target's.
    """

    path: str
    status: os.stat_result


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something in the tree that cannot be looked at.

    Attributes:
        path: As :attr:`Entry.path`.
        reason: What the operating system says.
    """

    path: str
    reason: str


def walk(
    tree: Path, *, after: str | None = None, exclude: Sequence[str] = (), own: frozenset[Path] = frozenset()
) -> Iterator[Entry | Unreadable]:
    """Yield what is in a tree, a folder before what is in it, names in the order of their bytes.

    Args:
        tree: The root, which is not yielded.
        after: Go on behind this path: finished folders are not even listed again. What appeared meanwhile before it
            in the order is not seen, as it would not be in a walk that was not interrupted.
        exclude: Patterns as in :mod:`fnmatch`; what matches with its name or its path is left out, with all below it.
        own: Absolute paths to leave out: the archive itself, when it grows inside the tree.
    """
    behind = after.split("/") if after else []
    pending = _children(tree, "", behind, exclude, own)
    while pending:
        path = pending.pop()
        try:
            status = os.lstat(tree / path)
        except OSError as error:
            yield Unreadable(path, _reason(error))
            continue
        parts = path.split("/")
        is_finished = parts == behind[: len(parts)]  # the path behind which to go on, or a folder around it
        if not is_finished:
            yield Entry(path, status)
        if _is_folder(status):
            try:
                pending += _children(tree, path, behind[len(parts) :] if is_finished else [], exclude, own)
            except OSError as error:
                yield Unreadable(path, _reason(error))


def _children(tree: Path, folder: str, behind: list[str], exclude: Sequence[str], own: frozenset[Path]) -> list[str]:
    """Return the paths in a folder that are not finished, the last one first (they are taken from the end)."""
    names = sorted(os.listdir(tree / folder), key=os.fsencode, reverse=True)
    if behind:
        first = os.fsencode(behind[0])
        names = [name for name in names if os.fsencode(name) >= first]
    paths = [f"{folder}/{name}" if folder else name for name in names]
    return [p for p in paths if not _is_excluded(p, exclude) and not (own and tree / p in own)]


def _is_excluded(path: str, patterns: Sequence[str]) -> bool:
    name = path.rpartition("/")[2]
    return any(fnmatchcase(name, pattern) or fnmatchcase(path, pattern) for pattern in patterns)


def _is_folder(status: os.stat_result) -> bool:
    return (status.st_mode & 0o170000) == 0o040000


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
