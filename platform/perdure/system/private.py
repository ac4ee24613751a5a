"""Files and folders that are their owner's alone."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

logger = logging.getLogger("perdure.home")


@contextmanager
def private_file(path: Path) -> Iterator[TextIO]:
    """Open a file for writing that only its owner can read; it is there, whole, when the block has ended well.

    Args:
        path: The file; one that is there is replaced.
    """
    target = path.resolve()  # a link goes on pointing to it
    if target.exists() and not target.is_file():  # a pipe or a terminal
        with target.open("w", encoding="utf-8") as other:
            yield other
        return
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with open(_new(temporary), "w", encoding="utf-8") as file:
            yield file
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_private(path: Path, text: str) -> None:
    """Write a new file that only its owner can read.

    Raises:
        FileExistsError: There is something of that name.
    """
    with open(_new(path), "w", encoding="utf-8") as file:
        file.write(text)


def tighten(path: Path) -> None:
    """Take from others what they may do with a file or folder of ours, and say so where it is not ours.

    A group that may write was let in on purpose, to share a home between accounts, and keeps what it has. Folders that
    are everybody's, such as ``/tmp``, are left alone.
    """
    try:
        found = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)) or found.st_mode & stat.S_ISVTX:
        return  # neither links nor devices: who names /dev/null as a home must not take it from everybody
    taken = stat.S_IRWXO if found.st_mode & stat.S_IWGRP else stat.S_IRWXO | stat.S_IRWXG
    if not found.st_mode & taken:
        return
    if found.st_uid != os.geteuid():
        mode = stat.S_IMODE(found.st_mode)
        logger.warning("%s may be read by others (mode %o) and is not ours to change. Its owner can: chmod go=", path, mode)
        return
    path.chmod(stat.S_IMODE(found.st_mode) & ~taken)


def _new(path: Path) -> int:
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
