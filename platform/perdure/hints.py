"""What an annotation says of the values that JSON brings back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import inspect as types
from pydantic import BaseModel

from perdure import codec

#: What a value is before its annotation made something else of it.
_ARRIVES_AS: tuple[type, ...] = (str, int, float, bool, type(None), list, dict, set, *codec.SCALAR_TYPES)


def supported(annotation: Any) -> bool:
    """Return whether values of this type can come back from JSON."""
    try:
        parts = list(_parts(types.type_info(annotation)))
    except TypeError:
        return False
    return all(_can_arrive(part.cls) for part in parts if isinstance(part, types.CustomType))


def is_loose(annotation: Any) -> bool:
    """Return whether a part of the annotation takes anything, so that it does not say what a value was."""
    return any(
        isinstance(part, types.AnyType) or (isinstance(part, types.CustomType) and not issubclass(part.cls, BaseModel))
        for part in _parts(types.type_info(annotation))
    )


def _can_arrive(kind: Any) -> bool:
    try:
        return issubclass(kind, BaseModel) or any(issubclass(plain, kind) for plain in _ARRIVES_AS)
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
