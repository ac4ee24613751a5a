"""Flower for perdure: bound to loopback and with a password, unless told otherwise."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from perdure import Perdure
from perdure.settings import Settings


@dataclass(frozen=True, slots=True)
class FlowerAccess:
    """How to sign in to Flower; ``generated`` says that the password was just made up."""

    user: str
    password: str
    generated: bool


def flower_access(settings: Settings) -> FlowerAccess:
    """Return the user and password of Flower: those of the settings, or ones kept in the home folder."""
    if settings.flower_password:
        return FlowerAccess(settings.flower_user, settings.flower_password, generated=False)
    file = settings.home_folder.ensure() / "flower.password"
    if file.exists():
        return FlowerAccess(settings.flower_user, file.read_text().strip(), generated=False)
    password = secrets.token_urlsafe(12)
    file.touch(mode=0o600)
    file.write_text(password)
    return FlowerAccess(settings.flower_user, password, generated=True)


def run_flower(app: Perdure, *, address: str, port: int) -> None:
    """Serve Flower until the process is told to stop.

    Args:
        app: The application to watch.
        address: The address to listen on.
        port: The TCP port to listen on.
    """
    access = flower_access(app.settings)
    arguments = [f"--address={address}", f"--port={port}", f"--basic-auth={access.user}:{access.password}"]
    app.celery.start(argv=["flower", *arguments])
