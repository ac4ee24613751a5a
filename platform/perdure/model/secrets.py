"""What is a secret: values under certain names, and what is annotated ``Annotated[str, Secret]``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from perdure.model.codec.type_hints import fields_of

#: Names whose values are secrets. Found anywhere in a name: ``db_password``, ``apiKey``, ``X-Auth-Token``.
_SECRET_NAME = re.compile(
    r"password|passwd|passphrase|pwd|secret|token|api[_-]?key|private[_-]?key|access[_-]?key|credential|authorization",
    re.IGNORECASE,
)


class Secret:
    """Marks a parameter or a field whose values are shown nowhere: ``def charge(card: Annotated[str, Secret])``."""


def is_secret_name(name: str) -> bool:
    """Return whether values of this name are secrets."""
    return _SECRET_NAME.search(name) is not None


def is_secret_hint(hint: Any) -> bool:
    """Return whether an annotation, or a part of it such as in ``Annotated[str, Secret] | None``, says ``Secret``."""
    marks = getattr(hint, "__metadata__", ())
    return any(mark is Secret or isinstance(mark, Secret) for mark in marks) or any(map(is_secret_hint, get_args(hint)))


def secret_parameters(hints: Mapping[str, Any], names: Iterable[str]) -> frozenset[str]:
    """Return the parameters that are secrets by name or by annotation; the hints are those with their extras."""
    return frozenset(name for name in names if is_secret_name(name) or is_secret_hint(hints.get(name)))


def secret_fields(hints: Iterable[Any]) -> frozenset[str]:
    """Return the names of the fields that say ``Secret`` in dataclasses, models and the like within annotations."""
    return frozenset(name for hint in hints for name, field in fields_of(hint) if is_secret_hint(field))
