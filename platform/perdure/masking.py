"""Keeping secrets out of what people are shown: by a parameter's name, and by ``Annotated[str, Secret]``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

import msgspec

if TYPE_CHECKING:
    from perdure.task import Task

#: What is shown in place of a secret.
MASK = "***"

#: Names whose values are secrets. Found anywhere in a name: ``db_password``, ``apiKey``, ``X-Auth-Token``.
_SECRET_NAME = re.compile(
    r"password|passwd|passphrase|pwd|secret|token|api[_-]?key|private[_-]?key|access[_-]?key|credential|authorization",
    re.IGNORECASE,
)


class Secret:
    """Marks a parameter whose values are shown nowhere: ``def charge(card: Annotated[str, Secret])``."""


def is_secret_name(name: str) -> bool:
    """Return whether values of this name are secrets."""
    return _SECRET_NAME.search(name) is not None


def is_secret_hint(hint: Any) -> bool:
    """Return whether an annotation, or a part of it such as in ``Annotated[str, Secret] | None``, says ``Secret``."""
    marks = getattr(hint, "__metadata__", ())
    return any(mark is Secret or isinstance(mark, Secret) for mark in marks) or any(map(is_secret_hint, get_args(hint)))


def mask(value: Any) -> Any:
    """Return a value made of JSON's types in which what stands under a secret's name is masked."""
    if isinstance(value, Mapping):
        return {name: _masked_as(value[name], secret=is_secret_name(str(name))) for name in value}
    if isinstance(value, (list, tuple)):
        return [mask(item) for item in value]
    return value


def mask_json(text: str) -> str:
    """Return a JSON text with its secrets masked."""
    if _SECRET_NAME.search(text) is None:
        return text
    return msgspec.json.encode(mask(msgspec.json.decode(text))).decode()


def mask_call(
    task: Task[..., Any] | None, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return a call's arguments with its secrets masked.

    Args:
        task: The task; None when this process does not know it: then no positional text is shown, whatever it is.
        args: Positional arguments, of JSON's types.
        kwargs: Keyword arguments, of JSON's types.
    """
    if task is None:
        return [MASK if isinstance(value, str) else mask(value) for value in args], dict(mask(kwargs))
    secret = task.signature.secret
    names = task.signature.names_of(len(args))
    shown = [_masked_as(value, secret=name in secret) for name, value in zip(names, args, strict=True)]
    return shown, {name: _masked_as(value, secret=name in secret or is_secret_name(name)) for name, value in kwargs.items()}


def mask_parameters(task: Task[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments by the names of their parameters, with their secrets masked."""
    return {name: _masked_as(value, secret=name in task.signature.secret) for name, value in values.items()}


def mask_call_json(task: Task[..., Any] | None, args: str, kwargs: str) -> tuple[str, str]:
    """Return a call's arguments as JSON texts with its secrets masked; what has none is returned as it is."""
    nothing_by_name = _SECRET_NAME.search(args) is None and _SECRET_NAME.search(kwargs) is None
    if task is not None and not task.signature.secret and nothing_by_name:
        return args, kwargs
    shown_args, shown_kwargs = mask_call(task, msgspec.json.decode(args), msgspec.json.decode(kwargs))
    return msgspec.json.encode(shown_args).decode(), msgspec.json.encode(shown_kwargs).decode()


def secret_parameters(hints: Mapping[str, Any], names: Iterable[str]) -> frozenset[str]:
    """Return the parameters that are secrets by name or by annotation; the hints are those with their extras."""
    return frozenset(name for name in names if is_secret_name(name) or is_secret_hint(hints.get(name)))


def _masked_as(value: Any, *, secret: bool) -> Any:
    # Whether there is one, and flags such as has_token, are no secret.
    return MASK if secret and value is not None and not isinstance(value, bool) else mask(value)
