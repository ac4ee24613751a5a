"""Which home folder a command is about, found without loading all settings: that takes longer than all the rest."""

from __future__ import annotations

import os
from pathlib import Path

from perdure.settings.home import Home
from perdure.settings.sources import from_file
from perdure.system.upward import nearest
from perdure_workers.cli.loading import Context

#: As in :mod:`perdure.settings.settings`.
_FILE, _DEFAULT = "perdure.toml", ".perdure"


def home_of(context: Context) -> Path:
    """Return the home folder that a command is about.

    Raises:
        SettingsError: ``perdure.toml`` cannot be read.
    """
    if named := context.home or os.environ.get("PERDURE_HOME"):
        return Home(Path(named)).path
    file = nearest(_FILE)
    written = None if file is None else from_file(file).values.get("home")
    return Home(Path(written) if isinstance(written, str) else nearest(_DEFAULT) or Path(_DEFAULT)).path
