"""Values to JSON and back: what comes out equals what went in, in type and content, or encoding it is refused.

JSON has no datetime, UUID, Decimal, tuple or set. Wherever such a value stands it is written as a tagged object (see
:mod:`perdure.model.codec.tags`), so that it comes back as itself even where nothing is annotated. Dataclasses, enums,
msgspec structs, attrs classes and pydantic models are written as plain JSON and come back through the annotation.

Each value that is encoded is decoded again as its reader will, and compared: see :mod:`perdure.model.codec.faithful`. A
subclass that stands for its base, a field that is left out and a validator that changes a value twice are found then, and
not by the job.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime
from typing import Any, get_args, get_origin
from uuid import UUID

import msgspec

from perdure.errors import Unserialisable
from perdure.model.codec.contents import Partial, carried, fields_of, mark_given, models
from perdure.model.codec.faithful import check_faithful
from perdure.model.codec.tags import FORMS, READERS, TAG, VALUE

#: Types whose values JSON brings back as they are.
PLAIN_TYPES: frozenset[type] = frozenset({str, bool, type(None), int, float})
_UNCHECKED = frozenset({str, bool, type(None)})
_LARGEST_INT = 2**63


def encode(value: Any, annotation: Any = Any, *, what: str = "value") -> str:
    """Return the JSON text of a value that :func:`decode` makes the same value of.

    Args:
        value: What to encode.
        annotation: The type with which it will be decoded.
        what: How an error names the value.

    Raises:
        Unserialisable: A part of the value has no faithful JSON form; the message names the part.
    """
    plain = to_plain(value, what=what)
    if not (annotation is Any and type(value) in PLAIN_TYPES):
        try:
            again = convert(untagged(plain), annotation)
        except Exception as error:
            raise Unserialisable(f"{what} does not come back as {annotation!r}: {error}") from error
        compare(value, again, what)
    return dumps(plain, what=what)


def encode_returned(value: Any, annotation: Any, *, what: str) -> str:
    """Return the JSON text of what a function returned, for :func:`decode_returned`; its annotation may be wrong.

    Raises:
        Unserialisable: A part of the value has no faithful JSON form; the message names the part.
    """
    plain = to_plain(value, what=what)
    compare(value, _as_returned(untagged(plain), annotation), what)
    return dumps(plain, what=what)


def to_plain(value: Any, *, what: str = "value") -> Any:
    """Return a value as what JSON knows, with tagged objects; whether it would come back as itself is not looked at.

    Raises:
        Unserialisable: A part of the value has no JSON form; the message names the part.
    """
    try:
        return _tagged(value, what)
    except RecursionError as error:
        raise Unserialisable(f"{what}: nested too deep, or contains itself.") from error


def is_plain(value: Any) -> bool:
    """Return whether a value is one of the plain types that :func:`to_plain` returns as it is."""
    kind = type(value)
    return kind in _UNCHECKED or (kind is int and _fits(value)) or (kind is float and math.isfinite(value))


def compare(value: Any, again: Any, what: str) -> None:
    """Refuse a value that came back as something else; see :func:`~perdure.model.codec.faithful.check_faithful`."""
    try:
        check_faithful(value, again, what)
    except RecursionError as error:
        raise Unserialisable(f"{what}: nested too deep.") from error


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


def decode_returned(text: str | bytes, annotation: Any) -> Any:
    """Return what a function returned; as it was written where the annotation does not fit it.

    Raises:
        msgspec.DecodeError: The text is not JSON.
    """
    return _as_returned(untagged(msgspec.json.decode(text)), annotation)


def convert(value: Any, annotation: Any, *, typed_in: bool = False) -> Any:
    """Return a decoded value as the annotated type, checking it.

    Args:
        value: What :func:`untagged` returned.
        annotation: The type that it shall have.
        typed_in: Whether a person wrote the JSON: then pydantic models may have their fields under aliases.

    Raises:
        msgspec.ValidationError: The value does not fit.
    """
    if annotation is Any or (annotation is float and type(value) is int):  # an int is a float to every type checker
        return value
    hook = _decode_typed_in if typed_in else _decode_stored
    return msgspec.convert(value, _concrete(annotation, value), str_keys=True, dec_hook=hook)


def untagged(value: Any) -> Any:
    """Return decoded JSON with its tagged objects turned back into what they stand for."""
    if isinstance(value, (list, tuple)):
        return type(value)(untagged(item) for item in value)
    if not isinstance(value, dict):
        return value
    tag = value.get(TAG)
    if tag is None:
        return {key: untagged(item) for key, item in value.items()}
    content = value[VALUE]
    return _CONTAINERS[tag](content) if tag in _CONTAINERS else READERS[tag](content)


def _as_returned(value: Any, annotation: Any) -> Any:
    try:
        return convert(value, annotation)
    except Exception:  # noqa: BLE001 - the function did not keep its promise, or a later release makes another one
        return value


#: Containers beside dict and list; what is in them may be tagged as well.
_CONTAINERS: dict[str, Callable[[Any], Any]] = {
    "dict": lambda content: {key: untagged(item) for key, item in content},
    "tuple": lambda content: tuple(untagged(item) for item in content),
    "set": lambda content: _as_set(content, set),
    "frozenset": lambda content: _as_set(content, frozenset),
    "model": lambda content: _as_partial(*content),
}


def _as_partial(fields: dict[str, Any], given: list[str]) -> Partial:
    return Partial(untagged(fields), given)


def _as_set(content: list[Any], kind: type) -> Any:
    members = [untagged(item) for item in content]
    try:
        return kind(_hashable(member) for member in members)
    except TypeError:  # objects, plain as yet: the annotation makes them what they were, and a set of them
        return members


def _hashable(member: Any) -> Any:
    """Return a member of a set; before tuples had a tag they were written as lists."""
    if isinstance(member, (list, tuple)):
        return tuple(_hashable(item) for item in member)
    return frozenset(member) if isinstance(member, set) else member


def _tagged(value: Any, path: str) -> Any:
    kind = type(value)
    if kind in _UNCHECKED:
        return value
    if kind is int:
        return _checked_int(value, path)
    if kind is float:
        return _checked_float(value, path)
    if kind is dict:
        return _tagged_dict(value, path)
    if kind is list:
        return [_tagged(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if kind is tuple:
        return {TAG: "tuple", VALUE: [_tagged(item, f"{path}[{index}]") for index, item in enumerate(value)]}
    if kind in FORMS:
        return _tagged_scalar(value, path)
    if kind in (set, frozenset):
        members = [_tagged(item, path) for item in value]
        return {TAG: kind.__name__, VALUE: sorted(members, key=repr)}
    return _tagged_object(value, path)


def _checked_int(value: int, path: str) -> int:
    if not _fits(value):
        raise Unserialisable(f"{path}: an integer of {value.bit_length()} bits does not fit 64 bits. Pass it as a string.")
    return value


def _fits(value: int) -> bool:
    return -_LARGEST_INT <= value < 2 * _LARGEST_INT


def _checked_float(value: float, path: str) -> float:
    if not math.isfinite(value):
        raise Unserialisable(f"{path}: {value!r} has no JSON form. Pass None or a string.")
    return value


def _tagged_scalar(value: Any, path: str) -> Any:
    form = FORMS[type(value)]
    try:
        return {TAG: form.tag, VALUE: form.write(value)}
    except Unserialisable as error:
        raise Unserialisable(f"{path}: {error}") from error


def _tagged_dict(value: dict[Any, Any], path: str) -> Any:
    content = {}
    for key, item in value.items():
        if not isinstance(key, _KEYS):
            raise Unserialisable(f"{path}: the key {key!r:.60} is not a string. Annotate the parameter or use str keys.")
        content[_key_text(key)] = _tagged(item, f"{path}[{key!r:.60}]")
    if len(content) != len(value):
        raise Unserialisable(f"{path}: two keys have the same text.")
    return {TAG: "dict", VALUE: [[key, item] for key, item in content.items()]} if TAG in content else content


#: Keys that an annotation makes of text.
_KEYS = (str, int, UUID, date, datetime, enum.Enum)


def _key_text(key: Any) -> str:
    if isinstance(key, enum.Enum):
        return _key_text(key.value)
    return key.isoformat() if isinstance(key, date) else str(key)


def _tagged_object(value: Any, path: str) -> Any:
    if isinstance(value, enum.Enum):
        return _tagged(value.value, path)
    try:
        fields = fields_of(value)
    except AttributeError as error:
        raise Unserialisable(f"{path}: a field of the {type(value).__qualname__} has no value: {error}") from error
    if fields is not None:
        return _tagged_fields(carried(value, fields), path)
    if isinstance(value, tuple):  # a named one, which an annotation brings back
        return [_tagged(item, f"{path}[{index}]") for index, item in enumerate(value)]
    for base in _BASES:
        if isinstance(value, base):  # type: ignore[arg-type]  # a subclass: what would be lost of it is said when it is compared
            return _tagged(base(value), path)
    raise Unserialisable(
        f"{path}: a {type(value).__module__}.{type(value).__qualname__} has no JSON form. "
        "Pass plain values, a dataclass, an enum, a msgspec struct or a pydantic model."
    )


_BASES: tuple[Callable[[Any], Any], ...] = (str, int, float, dict, list)


def _tagged_fields(plain: Any, path: str) -> Any:
    if isinstance(plain, Partial):
        return {TAG: "model", VALUE: [_tagged_dict(plain, path), plain.given]}
    return _tagged(plain, path)


#: For abstract annotations, the types that they take as they are.
_ABSTRACT: dict[Any, tuple[type, ...]] = {
    Iterable: (list, tuple, set, frozenset),
    Collection: (list, tuple, set, frozenset),
    Sequence: (list, tuple),
    AbstractSet: (set, frozenset),
}


def _concrete(annotation: Any, value: Any) -> Any:
    """Return the type of which an abstract annotation is to make a value, so that a tuple does not become a list."""
    kind: Any = type(value)
    if kind not in _ABSTRACT.get(get_origin(annotation), ()):
        return annotation
    [item] = get_args(annotation)
    return kind[item, ...] if kind is tuple else kind[item]


def _decode_stored(annotation: Any, value: Any) -> Any:
    return _made(annotation, value, by_alias=False)


def _decode_typed_in(annotation: Any, value: Any) -> Any:
    return _made(annotation, value, by_alias=True)


def _made(annotation: Any, value: Any, *, by_alias: bool) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, models()):
        try:
            model = annotation.model_validate(value, by_alias=by_alias, by_name=True)
        except Exception as error:  # a ValidationError, or what a validator raised beside it
            raise msgspec.ValidationError(f"{type(error).__name__}: {error}") from error
        mark_given(value, model)
        return model
    if isinstance(value, annotation):
        return value
    raise msgspec.ValidationError(f"Expected `{annotation.__name__}`, got `{type(value).__name__}`")
