"""Whether what came back is what was sent, in type and content, all the way down."""

from __future__ import annotations

import enum
from typing import Any

from perdure.errors import Unserialisable
from perdure.model.codec.contents import fields_of, hidden_of
from perdure.model.codec.tags import FORMS

_ANNOTATE = "Annotate the parameter with its type."
#: What an object comes back as when nothing says what it was.
_PLAIN = (dict, list, str, int, float, bool, type(None))
_COMPARABLE = frozenset({*_PLAIN, *FORMS, tuple, set, frozenset})


def check_faithful(value: Any, again: Any, what: str) -> None:
    """Refuse a value that would come back as something else.

    Args:
        value: What was encoded.
        again: What came back of it.
        what: How an error names the value.

    Raises:
        Unserialisable: A part of it came back as another type or with another content; the message names the part.
    """
    kind = type(value)
    if kind is not type(again):
        # An int where a float is expected is a float to every type checker, and its number must be the same.
        if not (kind is int and type(again) is float and again == value):
            raise Unserialisable(_changed_type(value, again, what))
    elif kind in FORMS:
        write = FORMS[kind].write
        _require(write(value) == write(again), what)
    elif kind in _PLAIN and kind not in (list, dict):
        _require(repr(value) == repr(again) if kind is float else bool(value == again), what)
    elif isinstance(value, enum.Enum):
        _require(value is again, what)
    elif isinstance(value, (list, tuple)):
        _require(len(value) == len(again), what)
        for index, (item, other) in enumerate(zip(value, again, strict=True)):
            check_faithful(item, other, f"{what}[{index}]")
    elif isinstance(value, dict):
        _check_dict(value, again, what)
    elif isinstance(value, (set, frozenset)):
        _check_set(value, again, what)
    else:
        _check_object(value, again, what)


def _check_dict(value: dict[Any, Any], again: dict[Any, Any], what: str) -> None:
    keys = {key: key for key in again}
    for key, item in value.items():
        if key not in keys and not isinstance(key, str):
            raise Unserialisable(f"{what}: the key {key!r:.60} would come back as text. {_ANNOTATE} Or use str keys.")
        if key not in keys:
            raise Unserialisable(f"{what}: the key {key!r:.60} would be lost.")
        check_faithful(key, keys[key], f"{what}: the key {key!r:.60}")
        check_faithful(item, again[key], f"{what}[{key!r:.60}]")
    _require(len(value) == len(again), what)


def _check_set(value: Any, again: Any, what: str) -> None:
    members = {member: member for member in again}
    for member in value:
        if member not in members:
            raise Unserialisable(f"{what}: a member of the set would come back as plain JSON. {_ANNOTATE}")
        check_faithful(member, members[member], f"{what}: a member of the set")
    _require(len(value) == len(again), what)


def _check_object(value: Any, again: Any, what: str) -> None:
    fields, others = fields_of(value), fields_of(again)
    if fields is None or others is None:
        raise Unserialisable(f"{what}: a {type(value).__qualname__} cannot be compared with what comes back of it.")
    for name, item in fields.items():
        if name not in others:
            raise Unserialisable(f"{what}.{name} would be lost.")
        check_faithful(item, others[name], f"{what}.{name}")
    hidden = hidden_of(again)
    for name, item in hidden_of(value).items():
        if name not in hidden:
            raise Unserialisable(f"{what}.{name} is no field and would be lost.")
        if type(item) in _COMPARABLE:  # not what each object has of its own, such as a lock
            check_faithful(item, hidden[name], f"{what}.{name}")


def _require(is_same: bool, what: str) -> None:
    if not is_same:
        raise Unserialisable(
            f"{what} would come back as another value. Look for a validator or __post_init__ that changes it once more."
        )


def _changed_type(value: Any, again: Any, what: str) -> str:
    kind, other = type(value).__qualname__, type(again).__qualname__
    if type(value) in _COMPARABLE or not (type(again) in _PLAIN or isinstance(again, dict)):
        return f"{what}: a {kind} would come back as a {other}. Pass a {other}, or annotate it as {kind}."
    return f"{what}: a {kind} would come back as plain JSON. {_ANNOTATE}"
