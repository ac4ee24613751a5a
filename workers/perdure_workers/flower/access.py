"""Who may sign in to Flower, and as what."""

from __future__ import annotations

import secrets
from base64 import b64decode
from dataclasses import dataclass
from enum import StrEnum

from perdure.settings.settings import Settings


class Role(StrEnum):
    """What somebody may do."""

    VIEWER = "viewer"
    OPERATOR = "operator"


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


def credentials(settings: Settings) -> list[str]:
    """Return ``user:password`` of everybody who may sign in, as Flower's ``basic_auth`` takes it."""
    access = flower_access(settings)
    return [f"{access.user}:{access.password}", *(f"{name}:{pw}" for name, pw in settings.flower_viewers.items())]


def user_of(authorization: str | None) -> str | None:
    """Return the user whom an ``Authorization`` header names; whether the password is right is Flower's to check."""
    parts = (authorization or "").split()  # as Flower splits it: who is let in there must not be somebody else here
    if len(parts) != 2 or parts[0] != "Basic":
        return None
    try:
        return b64decode(parts[1]).decode().partition(":")[0]
    except ValueError:
        return None


def role_of(user: str | None, settings: Settings) -> Role:
    """Return what a user who is signed in may do; whoever is not known to be the operator may look only."""
    return Role.OPERATOR if user == settings.flower_user else Role.VIEWER
