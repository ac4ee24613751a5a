"""Which dead letters a command means: by id, or by ``--where``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from perdure.manage.dead_letters.filters import NAMES, letter_filter
from perdure.model.moments import UNDERSTOOD
from perdure.system.who import whoami

Command = TypeVar("Command", bound=Callable[..., Any])

where_option = click.option(
    "--where",
    "where",
    multiple=True,
    metavar="NAME=VALUE",
    help=f"Only letters with this; may be repeated. Names: {', '.join(NAMES)}. Times are "
    f"{UNDERSTOOD}. A tag is tag=NAME=VALUE.",
)


def filters_of(where: tuple[str, ...], **named: Any) -> dict[str, Any]:
    """Return the filters that the options describe, checked.

    Args:
        where: Texts such as ``task=shop.add``.
        named: Further filters by name; None counts as not given.

    Raises:
        InvalidArguments: A name or value is not allowed; the message says what is.
        UsageError: A text has no ``=``.
    """
    found = {name: value for name, value in named.items() if value is not None}
    for text in where:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"--where {text!r} must be NAME=VALUE")
        found[name.strip()] = value
    letter_filter(**found)
    return found


def who() -> dict[str, Any]:
    """Return what the audit trail is told of this command."""
    return {"by": f"cli:{whoami()}"}
