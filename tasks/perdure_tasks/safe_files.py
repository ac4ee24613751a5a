"""Opening files that a job names: regular ones, below the folders that the worker's operator allows.

A job's arguments may come from anybody who may submit. What is looked at is the file that was opened, not its name: a name
can mean another file a moment later.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from perdure import Discard

ROOTS = "PERDURE_FILE_ROOTS"
"""The worker's environment variable: the folders that file tasks may read and write below, separated by ``:``."""

#: File systems whose files the kernel makes up: they look regular and tell of processes, devices and secrets.
_MADE_UP = {
    *["proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs", "configfs"],
    *["bpf", "efivarfs", "pstore", "binfmt_misc", "nsfs", "mqueue"],
}
# NONBLOCK: the open of a named pipe would wait for a writer for ever.
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def checked_path(what: str, path: Path) -> Path:
    """Return where a path leads, all symbolic links followed.

    Args:
        what: The argument's name, for the error.
        path: The path; it need not exist.

    Raises:
        Discard: It is not below an allowed folder.
    """
    found = path.resolve()
    _check_roots(what, path, found)
    return found


def open_regular(what: str, path: Path, flags: int = os.O_RDONLY) -> int:
    """Return a descriptor of a regular file that is below an allowed folder; a symbolic link is not followed.

    Args:
        what: The argument's name, for the error.
        path: As :func:`checked_path` returns it.
        flags: How to open it, as for :func:`os.open`; what it creates only its owner can read.

    Raises:
        Discard: It is something else.
        OSError: It cannot be opened.
    """
    if not flags & os.O_CREAT and not stat.S_ISREG(os.lstat(path).st_mode):
        raise Discard(f"{what} {str(path)!r} is no regular file.")  # some devices do something when they are opened
    try:
        descriptor = os.open(path, flags | _FLAGS, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Discard(f"{what} {str(path)!r} is a symbolic link and is not followed.") from None
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or is_made_up(status.st_dev):
            raise Discard(f"{what} {str(path)!r} is no regular file.")
        _check_roots(what, path, _opened_path(descriptor, path))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_made_up(device: int) -> bool:
    """Tell whether the files of a device (``st_dev``) are made up by the kernel, such as ``/proc/self/environ``."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open(
            "/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape"
        ) as mounts:  # see proc_pid_mountinfo(5)
            kinds = {line.partition(" - ")[2].split(" ")[0] for line in mounts if line.split(" ")[2] == wanted}
    except FileNotFoundError:  # another system, without such files
        return False
    return not _MADE_UP.isdisjoint(kinds)


def _opened_path(descriptor: int, path: Path) -> Path:
    try:
        return Path(os.readlink(f"/proc/self/fd/{descriptor}"))
    except OSError:  # another system
        return path


def _check_roots(what: str, path: Path, found: Path) -> None:
    roots = [Path(root).resolve() for root in os.environ.get(ROOTS, "").split(os.pathsep) if root]
    if roots and not any(found.is_relative_to(root) for root in roots):
        raise Discard(f"{what} {str(path)!r} is not below a folder that the workers' {ROOTS} allows.")
