"""Values to JSON and back without losing their types.

JSON has no datetime, UUID or Decimal. Wherever such a value stands it is written as a tagged object,
``{"$": "datetime", "v": "2026-01-02T03:04:05"}``, so that it comes back as itself even where nothing is annotated.
Dataclasses, enums, msgspec structs and pydantic models are written as plain JSON and come back through the annotation.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from pydantic import BaseModel, ValidationError

from perdure.errors import Unserialisable

_TAG, _VALUE = "$", "v"

_SCALARS: dict[type, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = {
    datetime: ("datetime", datetime.isoformat, datetime.fromisoformat),
    date: ("date", date.isoformat, date.fromisoformat),
    time: ("time", time.isoformat, time.fromisoformat),
    timedelta: ("timedelta", lambda v: [v.days, v.seconds, v.microseconds], lambda v: timedelta(*v)),
    UUID: ("uuid", str, UUID),
    Decimal: ("decimal", str, Decimal),
    bytes: ("bytes", lambda v: v.hex(), bytes.fromhex),
}
#: Types that come back as themselves even where nothing is annotated.
SCALAR_TYPES = tuple(_SCALARS)
_READERS: dict[str, Callable[[Any], Any]] = {tag: read for tag, _, read in _SCALARS.values()}
_PLAIN = frozenset({str, bool, type(None)})
_KNOWN = frozenset({*_PLAIN, int, float, *_SCALARS})
_LARGEST_INT = 2**63
_ANNOTATE = "Annotate the parameter with its type."


def encode(value: Any, *, typed: bool = True, what: str = "value") -> str:
    """Return the JSON text of a value.

    Args:
        value: What to encode.
        typed: Whether the reader has an annotation that turns a plain object back into a dataclass or enum.
            Without one these are refused, because they would silently come back as something else.
        what: How an error names the value.

    Raises:
        Unserialisable: A part of the value has no faithful JSON form; the message names the part.
    """
    return dumps(to_plain(value, typed=typed, what=what), what=what)


def to_plain(value: Any, *, typed: bool = True, what: str = "value") -> Any:
    """Return a value as what JSON knows (with tagged objects); parameters and errors as for :func:`encode`."""
    try:
        return _tagged(value, typed, what)
    except RecursionError as error:
        raise Unserialisable(f"{what}: nested too deep, or contains itself.") from error


def dumps(plain: Any, *, sort: bool = False, what: str = "value") -> str:
    """Return the JSON text of what :func:`to_plain` returned; ``sort`` orders the keys.

    Raises:
        Unserialisable: A string has a lone surrogate.
    """
    try:
        return msgspec.json.encode(plain, order="sorted" if sort else None).decode()
    except UnicodeEncodeError as error:
        raise Unserialisable(f"{what}: cannot be written as UTF-8: {error}") from error


def decode(text: str | bytes, annotation: Any = Any) -> Any:
    """Return the value of a JSON text made by :func:`encode`.

    Args:
        text: The JSON text.
        annotation: The type that the value shall have.

    Raises:
        msgspec.ValidationError: The text does not fit the annotation.
        msgspec.DecodeError: The text is not JSON.
    """
    return convert(untagged(msgspec.json.decode(text)), annotation)


def convert(value: Any, annotation: Any) -> Any:
    """Return a decoded value as the annotated type, checking it.

    Raises:
        msgspec.ValidationError: The value does not fit.
    """
    if annotation is Any:
        return value
    return msgspec.convert(value, annotation, str_keys=True, dec_hook=_decode_model)


def untagged(value: Any) -> Any:
    """Return decoded JSON with its tagged objects turned back into what they stand for."""
    if isinstance(value, list):
        return [untagged(item) for item in value]
    if not isinstance(value, dict):
        return value
    tag = value.get(_TAG)
    if tag is None:
        return {key: untagged(item) for key, item in value.items()}
    content = value[_VALUE]
    if tag == "dict":
        return {key: untagged(item) for key, item in content}
    if tag == "set":
        return _as_set([untagged(item) for item in content])
    return _READERS[tag](content)


def check_faithful(value: Any, again: Any, what: str) -> None:
    """Refuse a value that would come back as something else, because no annotation says what it was.

    Args:
        value: What was encoded.
        again: What came back of it.
        what: How an error names the value.

    Raises:
        Unserialisable: A dataclass, enum, struct, model or subclass in it came back as plain JSON, or a key as text.
    """
    if isinstance(value, (list, tuple)) and isinstance(again, (list, tuple)):
        for index, (item, other) in enumerate(zip(value, again, strict=True)):
            check_faithful(item, other, f"{what}[{index}]")
    elif type(value) is dict and isinstance(again, dict):
        kinds = {key: type(key) for key in again}
        for key, item in value.items():
            if kinds.get(key) is not type(key):
                raise Unserialisable(f"{what}: the key {key!r:.60} would come back as text. {_ANNOTATE} Or use str keys.")
            check_faithful(item, again[key], f"{what}[{key!r:.60}]")
    elif type(value) in (set, frozenset):
        if value != again or {type(item) for item in value} != {type(item) for item in again}:
            raise Unserialisable(f"{what}: a member of the set would come back as plain JSON. {_ANNOTATE}")
    elif type(value) not in _KNOWN and not isinstance(again, type(value)):
        raise Unserialisable(f"{what}: a {type(value).__qualname__} would come back as plain JSON. {_ANNOTATE}")


def _tagged(value: Any, typed: bool, path: str) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is int:
        return _checked_int(value, path)
    if kind is float:
        return _checked_float(value, path)
    if kind in _SCALARS:
        tag, write, _ = _SCALARS[kind]
        return {_TAG: tag, _VALUE: write(value)}
    if kind is dict:
        return _tagged_dict(value, typed, path)
    if kind in (list, tuple):
        return [_tagged(item, typed, f"{path}[{index}]") for index, item in enumerate(value)]
    if kind in (set, frozenset):
        members = [_tagged(item, typed, path) for item in value]
        return {_TAG: "set", _VALUE: sorted(members, key=repr)}
    return _tagged_object(value, typed, path)


def _as_set(members: list[Any]) -> set[Any] | list[Any]:
    try:
        return {_hashable(member) for member in members}
    except TypeError:  # objects, plain as yet: the annotation makes them what they were, and a set of them
        return members


def _hashable(member: Any) -> Any:
    if isinstance(member, list):
        return tuple(_hashable(item) for item in member)
    return frozenset(member) if isinstance(member, set) else member


def _checked_int(value: int, path: str) -> int:
    if not -_LARGEST_INT <= value < 2 * _LARGEST_INT:
        raise Unserialisable(f"{path}: the integer {value!r:.40} does not fit 64 bits. Pass it as a string.")
    return value


def _checked_float(value: float, path: str) -> float:
    if not math.isfinite(value):
        raise Unserialisable(f"{path}: {value!r} has no JSON form. Pass None or a string.")
    return value


def _tagged_dict(value: dict[Any, Any], typed: bool, path: str) -> Any:
    content = {}
    for key, item in value.items():
        if type(key) is not str and not (typed and isinstance(key, (int, UUID, date, datetime, enum.Enum, str))):
            raise Unserialisable(f"{path}: the key {key!r:.60} is not a string. Annotate the parameter or use str keys.")
        content[_key_text(key)] = _tagged(item, typed, f"{path}[{key!r:.60}]")
    if len(content) != len(value):
        raise Unserialisable(f"{path}: two keys have the same text.")
    return {_TAG: "dict", _VALUE: [[key, item] for key, item in content.items()]} if _TAG in content else content


def _key_text(key: Any) -> str:
    if isinstance(key, enum.Enum):
        return _key_text(key.value)
    return key.isoformat() if isinstance(key, date) else str(key)


def _tagged_object(value: Any, typed: bool, path: str) -> Any:
    plain = _plain_object(value)
    if plain is _NOT_PLAIN:
        raise Unserialisable(
            f"{path}: a {type(value).__module__}.{type(value).__qualname__} has no JSON form. "
            "Pass plain values, a dataclass, an enum, a msgspec struct or a pydantic model."
        )
    if not typed:
        raise Unserialisable(f"{path}: a {type(value).__qualname__} would come back as plain JSON. {_ANNOTATE}")
    return _tagged(plain, typed, path)


_NOT_PLAIN = object()


def _plain_object(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, BaseModel):
        return value.model_dump()
    bases: tuple[Callable[[Any], Any], ...] = (str, int, float, dict, list, tuple)
    for base in bases:
        if isinstance(value, base):  # type: ignore[arg-type] # a subclass, such as a str that knows where it came from
            return base(value)
    return _NOT_PLAIN


def _decode_model(annotation: type, value: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        try:
            return annotation.model_validate(value)
        except ValidationError as error:
            raise msgspec.ValidationError(str(error)) from error
    if isinstance(value, annotation):
        return value
    raise msgspec.ValidationError(f"Expected `{annotation.__name__}`, got `{type(value).__name__}`")
