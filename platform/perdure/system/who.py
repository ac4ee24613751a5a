"""Who runs this process, for records of who did what."""

from __future__ import annotations

import getpass
import os


def whoami() -> str:
    """Return the user's name; ``uid:1234`` where nobody knows a name, as in containers that run as any number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid:{os.getuid()}"
