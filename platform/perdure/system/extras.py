"""Parts that not every process needs are installed by extras, such as ``pip install 'perdure[flower]'``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from perdure.errors import PerdureError


class MissingExtra(PerdureError):
    """A part of perdure is not installed; the message says what installs it."""


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Say what to install when an import in this block finds no library.

    Args:
        name: The extra that installs it.
        what: What needs it.

    Raises:
        MissingExtra: A library is not there.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0].startswith("perdure"):
            raise
        raise MissingExtra(f"{what} needs {error.name}. Install it with: pip install 'perdure[{name}]'") from error
