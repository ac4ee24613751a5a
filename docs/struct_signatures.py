"""Structs of msgspec have signatures on the page of the Python API: their fields, as dataclasses have by themselves."""

from __future__ import annotations

import ast
from typing import Any

import griffe

#: How a struct says that it is one.
STRUCTS = {"Struct", "msgspec.Struct"}


class StructSignatures(griffe.Extension):
    """Adds ``__init__`` to classes that derive from ``msgspec.Struct`` itself."""

    def on_class_members(self, *, node: Any, cls: griffe.Class, **_: Any) -> None:
        """Make it of the fields, when they are known."""
        if not STRUCTS & {str(base) for base in cls.bases} or "__init__" in cls.members:
            return
        by_name = any(keyword.arg == "kw_only" and ast.unparse(keyword.value) == "True" for keyword in node.keywords)
        kind = griffe.ParameterKind.keyword_only if by_name else griffe.ParameterKind.positional_or_keyword
        fields = [
            griffe.Parameter(name, annotation=member.annotation, kind=kind, default=_default(member))
            for name, member in cls.attributes.items()
            if "instance-attribute" in member.labels and "property" not in member.labels
        ]
        own = griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)
        made = griffe.Function("__init__", parameters=griffe.Parameters(own, *fields), returns="None", parent=cls)
        cls.set_member("__init__", made)


def _default(field: griffe.Attribute) -> Any:
    """Return a field's default as it is written, or what its factory makes."""
    if isinstance(field.value, griffe.ExprCall) and str(field.value.function) in ("field", "msgspec.field"):
        [factory] = field.value.arguments
        return f"{getattr(factory, 'value', factory)}()"
    return field.value
