"""What the patterns have in common when they refuse a call."""

from __future__ import annotations

import re

from perdure.errors import PerdureError, SettingsError

_NAME = re.compile(r"[\w.:/@-]+")


class NotCalled(PerdureError):
    """The call was refused before it reached the service, so it says nothing about the service's health.

    ``retry_after_s`` is how long to wait before it may have a chance.
    """

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


def is_name(name: str) -> bool:
    """Tell whether a name may stand in a key in Redis."""
    return _NAME.fullmatch(name) is not None


def check_name(what: str, name: str) -> None:
    """Refuse names that would break the keys in Redis.

    Raises:
        SettingsError: the name is empty or has other characters than letters, digits and ``_ . : / @ -``.
    """
    if not is_name(name):
        raise SettingsError(f"{what} {name!r}: a name consists of letters, digits and _ . : / @ -")
