"""Finding the application that a command is about."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from perdure.errors import SettingsError

if TYPE_CHECKING:
    from perdure import Perdure


class Context:
    """What every command knows: where the application is.

    Args:
        app: ``module:attribute`` of the application, or None for the ready-made tasks alone.
        home: The home folder, or None for the setting.
    """

    def __init__(self, app: str | None, home: str | None) -> None:
        self.app_path = app
        self.home = home
        self._app: Perdure | None = None

    @property
    def app(self) -> Perdure:
        """The application, loaded on first use.

        Raises:
            SettingsError: The application cannot be found; the message says why.
        """
        if self._app is None:
            if self.home is not None:
                os.environ["PERDURE_HOME"] = self.home  # the application's module reads its settings from there
            self._app = load_app(self.app_path) if self.app_path else running_app() or default_app()
        return self._app


def running_app() -> Perdure | None:
    """Return the application for which `perdure up` runs in the home folder, or None: a command there needs no ``-A``.

    Raises:
        SettingsError: It cannot be loaded here; the message says why.
    """
    from perdure.settings.settings import load_settings
    from perdure_workers.up.runtime import RUNTIME_FILE, Runtime, UpLock

    home = load_settings().home_folder.path
    # Only what a living manager of this account says: a home folder that somebody else has made names no code to run.
    runtime = Runtime.read(home) if UpLock.is_held(home) and _is_ours(home / RUNTIME_FILE) else None
    if runtime is None or runtime.app is None:
        return None
    try:
        return load_app(runtime.app, runtime.folder)
    except SettingsError as error:
        raise SettingsError(f"{error}. It is what perdure up runs on {home}; name another one by -A") from error


def _is_ours(file: Path) -> bool:
    try:
        return file.stat().st_uid == os.geteuid()
    except OSError:
        return False


def default_app() -> Perdure:
    """Return an application that has the ready-made tasks and nothing else."""
    import perdure_tasks
    from perdure import Perdure

    app = Perdure()
    perdure_tasks.register(app)
    return app


def load_app(path: str, folder: str | None = None) -> Perdure:
    """Return an application.

    Args:
        path: ``module:attribute`` (``app`` by default).
        folder: Where it is looked for as well; the current folder by default.

    Raises:
        SettingsError: There is no such module or attribute, or it is no application.
    """
    from perdure import Perdure

    folder = folder or os.getcwd()
    module_name, _, attribute = path.partition(":")
    if not module_name or module_name.startswith("."):
        raise SettingsError(f"-A {path}: write it as MODULE:ATTRIBUTE, such as shop.jobs:app")
    if folder not in sys.path:
        # Last, not first: a folder here that is named like a module of the standard library must not shadow it.
        sys.path.append(folder)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise SettingsError(f"-A {path}: no module {error.name!r} in {folder} or on sys.path") from error
    found = getattr(module, attribute or "app", None)
    if not isinstance(found, Perdure):
        raise SettingsError(
            f"-A {path}: {attribute or 'app'!r} in {module_name} is {found!r:.60}, not a Perdure application"
        )
    return found


pass_context = click.make_pass_decorator(Context)
