"""What an annotation says of the values that JSON brings back."""

from __future__ import annotations

import types as builtin_types
from collections.abc import Callable, Iterator
from typing import Any, Union, get_args, get_origin, get_type_hints

from msgspec import inspect as types

from perdure.model.codec.codec import PLAIN_TYPES
from perdure.model.codec.contents import models
from perdure.model.codec.tags import FORMS

#: What a value is before its annotation made something else of it.
_ARRIVES_AS: list[type] = [*PLAIN_TYPES, list, dict, tuple, set, frozenset, *FORMS]


def supported(annotation: Any) -> bool:
    """Return whether values of this type can come back from JSON."""
    try:
        parts = list(_parts(types.type_info(annotation)))
    except TypeError:
        return False
    return all(_can_arrive(part.cls) for part in parts if isinstance(part, types.CustomType))


def has_fields(kind: type) -> bool:
    """Return whether a class is of objects with fields, or a named tuple, that the class as annotation brings back."""
    is_such = issubclass(kind, models()) or issubclass(kind, tuple) or not issubclass(kind, tuple(_ARRIVES_AS))
    return kind not in _ARRIVES_AS and is_such and supported(kind)


def returned(function: Callable[..., Any]) -> Any:
    """Return what a function's annotation says that it returns; Any where there is none that JSON can carry."""
    try:
        hint = get_type_hints(function).get("return", Any)
    except Exception:  # noqa: BLE001 - an annotation can be any expression; this one is not needed
        return Any
    return hint if supported(hint) else Any


def plain_types(annotation: Any) -> frozenset[type]:
    """Return the types of JSON whose values an annotation takes as they are, so that nothing needs to be converted.

    An int where a float is expected stays an int, as in a direct call.
    """
    if annotation is Any or annotation is object:
        return PLAIN_TYPES
    if annotation is None:
        return frozenset({type(None)})
    if isinstance(annotation, type) and annotation in PLAIN_TYPES:
        return frozenset({annotation, int}) if annotation is float else frozenset({annotation})
    if get_origin(annotation) not in (Union, builtin_types.UnionType):
        return frozenset()
    members = [plain_types(member) for member in get_args(annotation)]
    taken: frozenset[type] = frozenset(kind for member in members for kind in member)
    # Beside others, such as datetime with str, only None is sure to be taken as it is.
    return taken if all(members) else taken & {type(None)}


def _can_arrive(kind: Any) -> bool:
    try:
        return issubclass(kind, models()) or any(issubclass(plain, kind) for plain in _ARRIVES_AS)
    except TypeError:  # a protocol with attributes, or no class at all
        return False


def _parts(of: types.Type) -> Iterator[types.Type]:
    """Yield a type and the types of its items; fields of dataclasses and structs are their own annotations' matter."""
    yield of
    for field in getattr(of, "__struct_fields__", ()):
        inner = getattr(of, field)
        for item in inner if isinstance(inner, tuple) else (inner,):
            if isinstance(item, types.Type):
                yield from _parts(item)


def fields_of(annotation: Any) -> Iterator[tuple[str, Any]]:
    """Yield the fields of the dataclasses, models, structs and typed dicts within an annotation: names and annotations.

    A field that is told under other names as well (a model's alias) is yielded under each.
    """
    yield from _fields(annotation, set())


def _fields(annotation: Any, seen: set[Any]) -> Iterator[tuple[str, Any]]:
    for part in get_args(annotation):
        if not isinstance(part, (str, int)):  # a literal's values and a mark's own texts are no types
            yield from _fields(part, seen)
    if not isinstance(annotation, type) or annotation in seen or not getattr(annotation, "__annotations__", None):
        return
    seen.add(annotation)
    try:
        hints = get_type_hints(annotation, include_extras=True)
    except (NameError, TypeError):  # names that only a type checker sees
        return
    for name, hint in hints.items():
        for shown in {name, *_aliases(annotation, name)}:
            yield shown, hint
        yield from _fields(hint, seen)


def _aliases(owner: type, name: str) -> list[str]:
    if isinstance(owner, type) and issubclass(owner, models()) and name in owner.model_fields:
        field = owner.model_fields[name]
        given = (field.alias, field.serialization_alias, field.validation_alias)
        return [alias for alias in given if isinstance(alias, str)]
    if renamed := getattr(owner, "__struct_encode_fields__", None):
        return [new for old, new in zip(owner.__struct_fields__, renamed, strict=True) if old == name]  # type: ignore[attr-defined]
    return []
