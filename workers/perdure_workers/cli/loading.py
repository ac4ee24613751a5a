"""Finding the application that a command is about."""

from __future__ import annotations

import importlib
import os
import sys

import click

import perdure_tasks
from perdure import Perdure
from perdure.errors import SettingsError


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
            self._app = load_app(self.app_path) if self.app_path else default_app()
        return self._app


def default_app() -> Perdure:
    """Return an application that has the ready-made tasks and nothing else."""
    app = Perdure()
    perdure_tasks.register(app)
    return app


def load_app(path: str) -> Perdure:
    """Return the application at ``module:attribute`` (``app`` by default), looked for in the current folder as well.

    Raises:
        SettingsError: There is no such module or attribute, or it is no application.
    """
    module_name, _, attribute = path.partition(":")
    if not module_name or module_name.startswith("."):
        raise SettingsError(f"-A {path}: write it as MODULE:ATTRIBUTE, such as shop.jobs:app")
    if os.getcwd() not in sys.path:
        # Last, not first: a folder here that is named like a module of the standard library must not shadow it.
        sys.path.append(os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise SettingsError(f"-A {path}: no module {error.name!r} in {os.getcwd()} or on sys.path") from error
    found = getattr(module, attribute or "app", None)
    if not isinstance(found, Perdure):
        raise SettingsError(
            f"-A {path}: {attribute or 'app'!r} in {module_name} is {found!r:.60}, not a Perdure application"
        )
    return found


pass_context = click.make_pass_decorator(Context)
