"""Tar members and manifest lines as bytes: the same ones whenever and by whomever they are made."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import tarfile
from functools import cache

BLOCK = tarfile.BLOCKSIZE
#: What ends a tar: two empty blocks, filled up to a whole record (POSIX.1-2017 pax, "ustar Interchange Format").
RECORD = tarfile.RECORDSIZE


def member(path: str, status: os.stat_result, *, size: int = 0, link: str = "") -> bytes:
    """Return a tar member's header in the pax format, with its extended header where one is needed.

    Args:
        path: The member's name.
        status: Where mode, owner and time come from.
        size: Bytes of content that follow; only a regular file has some.
        link: A symbolic link's target.
    """
    info = tarfile.TarInfo(path)
    info.mode = stat.S_IMODE(status.st_mode)
    info.uid, info.gid = status.st_uid, status.st_gid
    info.uname, info.gname = _user(status.st_uid), _group(status.st_gid)
    info.mtime = status.st_mtime  # a fraction of a second is written as a pax record
    info.size = size
    if stat.S_ISDIR(status.st_mode):
        info.type = tarfile.DIRTYPE
    elif link:
        info.type, info.linkname = tarfile.SYMTYPE, link
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def padding(size: int, unit: int = BLOCK) -> bytes:
    """Return the zeros that fill ``size`` bytes up to whole units."""
    return bytes(-size % unit)


def trailer(size: int) -> bytes:
    """Return what ends an archive of ``size`` bytes."""
    return bytes(2 * BLOCK) + padding(size + 2 * BLOCK, RECORD)


def manifest_line(digest: str, path: str) -> bytes:
    r"""Return a line that ``sha256sum -c`` reads.

    Names with a backslash or a line end are escaped and the line starts with a backslash (GNU coreutils manual,
    "cksum output modes").
    """
    name = os.fsencode(path)
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    return (b"" if escaped == name else b"\\") + digest.encode() + b"  " + escaped + b"\n"


@cache
def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


@cache
def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""
