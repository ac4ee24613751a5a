"""Objects with fields: dataclasses, msgspec structs, attrs classes and pydantic models, and what of them is carried."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from pydantic import BaseModel, RootModel


def models() -> type[BaseModel]:
    """Return the class of pydantic's models, of which there are none where nobody has loaded it."""
    found: Any = getattr(sys.modules.get("pydantic.main"), "BaseModel", _NoModel)
    return found  # type: ignore[no-any-return]


def root_models() -> type[RootModel[Any]]:
    """Return the class of those that hold a value instead of fields; see :func:`models`."""
    found: Any = getattr(sys.modules.get("pydantic.root_model"), "RootModel", _NoModel)
    return found  # type: ignore[no-any-return]


class _NoModel:
    pass


class Partial(dict[str, Any]):
    """The fields of a pydantic model of which only some were given; the others have their defaults."""

    __slots__ = ("given",)

    def __init__(self, fields: dict[str, Any], given: list[str]) -> None:
        super().__init__(fields)
        self.given = given


def fields_of(value: Any) -> dict[str, Any] | None:
    """Return an object's fields by name; None when it is no object with fields.

    Raises:
        AttributeError: A field has no value.
    """
    if isinstance(value, msgspec.Struct):
        return _got(value, value.__struct_fields__)
    if isinstance(value, models()):
        return _got(value, type(value).model_fields) | (value.model_extra or {})
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return _got(value, [field.name for field in dataclasses.fields(value)])
    attributes = getattr(type(value), "__attrs_attrs__", None)
    return None if attributes is None else _got(value, [attribute.name for attribute in attributes])


def carried(value: Any, fields: dict[str, Any]) -> Any:
    """Return an object as what its class is made of again: a dict, mostly."""
    if isinstance(value, msgspec.Struct):
        return _struct(value, fields)
    if isinstance(value, root_models()):
        return value.root
    if isinstance(value, models()) and len(value.model_fields_set) < len(fields):
        return Partial(fields, sorted(value.model_fields_set))
    return fields


def hidden_of(value: Any) -> dict[str, Any]:
    """Return what an object holds beside its fields, which is not carried: attributes of its own, and private ones."""
    if isinstance(value, models()):
        return value.__pydantic_private__ or {}
    fields, kind = fields_of(value) or {}, type(value)
    own = getattr(value, "__dict__", {})
    return {name: own[name] for name in own if name not in fields and not hasattr(kind, name)}


def mark_given(carried_as: Any, made: Any) -> None:
    """Tell the pydantic models in a value which of their fields were given: ``model_dump(exclude_unset=True)`` asks it.

    Args:
        carried_as: What the value was made of.
        made: The value.
    """
    if isinstance(made, root_models()):
        mark_given(carried_as, made.root)
    elif isinstance(carried_as, dict) and not isinstance(made, dict):
        if isinstance(carried_as, Partial) and isinstance(made, models()):
            # A frozen model refuses the usual way.
            object.__setattr__(made, "__pydantic_fields_set__", set(carried_as.given))
        for name, item in carried_as.items():
            mark_given(item, getattr(made, name, None))
    elif isinstance(made, dict) and isinstance(carried_as, dict):
        for item, other in zip(carried_as.values(), made.values(), strict=False):
            mark_given(item, other)
    elif isinstance(made, (list, tuple)) and isinstance(carried_as, (list, tuple)):
        for item, other in zip(carried_as, made, strict=False):
            mark_given(item, other)


def _got(value: Any, names: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names}


def _struct(value: msgspec.Struct, fields: dict[str, Any]) -> Any:
    config = value.__struct_config__
    tagged = {} if config.tag is None else {str(config.tag_field): config.tag}
    if config.array_like:
        return [*tagged.values(), *fields.values()]
    return tagged | dict(zip(value.__struct_encode_fields__, fields.values(), strict=True))
